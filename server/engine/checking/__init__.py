"""Every check of a request before it may join a batch: its inputs, its sizes, what it demands."""
