"""Import and export of virtual numbers as CSV."""
