"""How fast it runs here: latency profiles by arm and batch size, kept by hardware fingerprint."""

import surroundings as surroundings  # before any library that it keeps quiet
