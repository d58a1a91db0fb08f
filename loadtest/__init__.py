"""Drive a server over the wire and report what it delivered: open and closed loops, real images,
honest clocks."""
