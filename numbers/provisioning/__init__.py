"""Searching, buying, configuring, releasing and topping up numbers."""
