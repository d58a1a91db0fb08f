"""The `gearshift` command: one table of lazily imported subcommands."""

import surroundings as surroundings  # before any library that it keeps quiet
