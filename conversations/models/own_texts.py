"""The texts of ours as a conversation has them."""

from smsproxy.services.models import default_service_id
from smsproxy.services.texts import TextKind, text_of

from .conversation import Conversation


def text_in(conversation: Conversation | None, kind: TextKind) -> str:
    """Return the template of this text in this conversation, or "" if it is never sent.

    None: the text belongs to no conversation, so it is that of the default service. A conversation that
    `read_arrival` loaded in part costs one query.
    """
    if conversation is None:
        return text_of(kind, service_id=default_service_id())
    if missing := conversation.get_deferred_fields() & {"language", "texts"}:
        conversation.refresh_from_db(fields=sorted(missing))
    return text_of(
        kind, service_id=conversation.service_id, language=conversation.language or "", own=conversation.texts
    )
