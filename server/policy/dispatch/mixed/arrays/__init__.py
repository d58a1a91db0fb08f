"""The best step by arrays: where many wait."""
