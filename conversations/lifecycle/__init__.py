"""Use cases that create a conversation and replace the numbers in it."""
