"""The admin pages of numbers. Importing this package registers them."""

from numbers.admin import events, orders, people, pools, shortages, top_ups, virtual_numbers  # noqa: F401
