"""The policy without a server: arrivals, noise and an event heap around the very objects the live dispatcher uses."""
