"""Deadlines, locks and prepared statements."""
