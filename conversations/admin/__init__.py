"""Admin pages of conversations. Importing this package registers them."""

from conversations.admin import (  # noqa: F401  (registers)
    blocks,
    concerned,
    conversations,
    inbox,
    limits,
    messages,
    metrics,
    replace_number,
    retention,
    sending,
    webhooks,
)
