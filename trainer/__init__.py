"""Trains candidates beside the server, in a process of its own; they meet only through published artefacts."""
