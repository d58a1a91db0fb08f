"""Arms opened, vetted against the reference and timed, as far as the budget goes."""
