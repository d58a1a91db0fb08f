"""A trained network exported, proven equal, judged in every precision and published."""
