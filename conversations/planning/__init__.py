"""Forecast how many numbers a pool needs, from the history of its conversations."""
