"""Profiles for people: tables, plots, reasons, differences."""
