"""The decision where all waiting tickets have one row and accept the same arms: the usual case, made to be quick."""
