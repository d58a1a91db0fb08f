"""Which arms there are to choose from, what they cost now, and which are out of use. Pure."""
