"""Which dispatching policy should be in force, by replays of the last requests. Pure."""
