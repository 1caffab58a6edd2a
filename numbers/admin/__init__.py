"""The admin pages of numbers. Importing this package registers them."""

from numbers.admin import concerned, events, orders, people, pools, shortages, top_ups, virtual_numbers  # noqa: F401
