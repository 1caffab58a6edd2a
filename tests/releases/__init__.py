"""Dumps of earlier releases, and the script that makes them."""
