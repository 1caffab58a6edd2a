"""The pool page of the admin."""
