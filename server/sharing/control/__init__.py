"""What is in service: every change planned, loaded, measured, then swapped in."""
