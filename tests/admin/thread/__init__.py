"""The page of a conversation as a thread."""
