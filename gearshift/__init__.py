"""The `gearshift` command: one table of lazily imported subcommands."""
