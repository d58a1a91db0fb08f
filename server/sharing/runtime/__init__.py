"""Runs a package's tasks on streams of frames as the plan says: one worker thread, a shared stem, live changes."""
