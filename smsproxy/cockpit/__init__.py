"""The admin site, its first page and the plan of the pool."""
