"""What becomes of a published candidate: tried, promoted, rolled back. Pure."""
