"""Plans sought: fast, exactly, and as others do. Pure."""
