"""Read-only answers: status, metrics and why a text goes where it goes."""
