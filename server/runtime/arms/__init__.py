"""Which arms a family holds: opened, measured, followed, let go."""
