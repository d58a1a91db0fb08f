"""Runs the tasks of one package on streams of frames as the plan says: one worker thread, a shared stem, live changes."""
