"""The pages of numbers in the Django admin."""

from numbers.admin import top_ups, virtual_numbers  # noqa: F401  (registers them)
