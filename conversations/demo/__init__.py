"""What `manage.py demo` shows: a small pool, two people, and their phones."""
