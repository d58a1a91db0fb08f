"""Replays of the last requests in a process of their own."""
