"""Numbers in and out as CSV."""
