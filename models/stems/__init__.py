"""Task packages: a base network cut into a shared stem, and the heads of tasks that branch from it."""
