"""What a run came to, for people: figures, Markdown, plots, progress."""
