"""The page of a conversation: its people, its messages and events as a thread, and what staff can do."""
