"""The best step ticket by ticket: where few wait, or this runs compiled."""
