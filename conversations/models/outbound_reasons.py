"""How the reasons in the history of a message begin. The API derives the class of an error from them."""

TOO_OLD = "older than MESSAGE_MAX_AGE_SECONDS"
OPTED_OUT = "its recipient has opted out"
BLOCKED = "its sender was blocked"
