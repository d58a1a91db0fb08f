"""Families that a server has: found at the start, then coming, changing and going while others serve."""
