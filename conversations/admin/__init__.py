"""The pages of conversations in the Django admin."""

from conversations.admin import conversations, sending  # noqa: F401  (registers them)
