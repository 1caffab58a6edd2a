"""Choosing a proxy number for each participant."""
