"""Rules that choose a proxy number for each participant."""
