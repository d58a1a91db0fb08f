"""A stranger's models made families: found, read, tried and published."""
