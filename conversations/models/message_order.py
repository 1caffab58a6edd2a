"""The order in which pages of a conversation read its messages."""

from django.db.models import F

ID_IN_ORDER = F("id") + 0
"""The id, as an expression that the primary key is not an index of.

An index that ends with it has the messages of one conversation or participant in order, and is the only one that has.
With the id itself, PostgreSQL may walk through the messages of all conversations in the order of the primary key.
"""
