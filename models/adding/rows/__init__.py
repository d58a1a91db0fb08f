"""The user's rows, however they are kept: arrays, pictures in folders, lines of JSON; and their labels."""
