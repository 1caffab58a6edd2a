"""Admin pages of conversations. Importing this package registers them."""

from conversations.admin import blocks, conversations, limits, messages, metrics, sending, webhooks  # noqa: F401  (registers)
