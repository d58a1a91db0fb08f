"""Families that are there already: changed and removed by their users, with checks before anything is written."""
