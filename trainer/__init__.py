"""Trains candidate variants and publishes them; a process of its own, never imported by the server."""

import surroundings as surroundings  # before any library that it keeps quiet
from surroundings.libraries import keep_gradients_right

keep_gradients_right()
