"""Decide and serve: a pure policy, a live runtime and a simulator over it, and the gRPC front."""

import surroundings as surroundings  # before any library that it keeps quiet
