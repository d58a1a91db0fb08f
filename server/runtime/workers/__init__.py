"""Threads that run batches on backends, and what watches over them."""
