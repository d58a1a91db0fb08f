"""Drive a server over the wire and report what it delivered: open and closed loops, real images,
honest clocks."""

import surroundings as surroundings  # before any library that it keeps quiet
