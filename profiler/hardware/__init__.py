"""What this machine is and how it is just now: fingerprint, readings, changes."""
