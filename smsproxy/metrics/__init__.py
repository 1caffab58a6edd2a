"""Counters and histograms of all processes. A process counts in memory, and adds its counts to one table."""
