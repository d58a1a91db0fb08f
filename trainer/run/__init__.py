"""One training run: prepared, priced, trained unit by unit, resumed after a kill."""
