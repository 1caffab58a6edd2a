"""A conversation begins, changes and ends."""
