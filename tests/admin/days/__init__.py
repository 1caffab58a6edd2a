"""A day's work of each group of staff, in a browser."""
