"""Erase message texts that are older than the retention time."""
