"""`manage.py init`: ask what an installation needs, make its keys, and write its .env."""
