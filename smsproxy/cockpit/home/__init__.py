"""The first page of the admin: the state in one line, the doors, and the figures of the last hours."""
