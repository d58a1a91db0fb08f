"""Selectors compared at equal cost: runs, curves, figures, report."""
