"""The policy's hot modules compiled from the very sources that are interpreted otherwise: an optional accelerator."""
