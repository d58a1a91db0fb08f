"""Graphs that OpenVINO compiled: for which numbers of rows there are any, and how they are kept between starts."""
