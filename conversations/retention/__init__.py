"""Erasing texts whose time is over."""
