"""Which conversations a list shows: the query parameters, and the header with a person's number."""

from typing import Any

from rest_framework.request import Request

from conversations.api.fields import PoolField
from conversations.models import ConversationState
from conversations.models.conversation_queries import ConversationQuerySet
from smsproxy.api.fields import ChoiceField, DateTimeField, E164Field, TextField
from smsproxy.api.pagination import PageParameters
from smsproxy.api.problems import header_problem
from smsproxy.api.schema import Header
from smsproxy.crypto import number_hash
from smsproxy.phone import E164_PATTERN, NotE164, parse_e164
from smsproxy.values import sentence

PERSON = Header(
    name="Participant-Number",
    description="Only conversations that this person is in now, by their real number. It is in a header because URLs "
    "are logged.",
    pattern=E164_PATTERN,
    example="+447700900003",
)


class ListFilters(PageParameters):
    """The query parameters of the list. A conversation must match all of them."""

    reference = TextField(max_length=100, required=False, help_text="Only conversations with this reference.")
    status = ChoiceField(ConversationState.values, required=False, help_text="Only conversations of this status.")
    created_after = DateTimeField(required=False, help_text="Created at this time or later.")
    created_before = DateTimeField(required=False, help_text="Created before this time.")
    closed_after = DateTimeField(required=False, help_text="Closed at this time or later.")
    closed_before = DateTimeField(required=False, help_text="Closed before this time.")
    pool = PoolField(required=False, help_text="Only conversations with numbers of this pool.")
    proxy_number = E164Field(
        required=False, help_text="Only conversations in which a participant has this virtual number. Write %2B for +."
    )


def matching(found: ConversationQuerySet, filters: dict[str, Any], request: Request) -> ConversationQuerySet:
    """Return those of these conversations that the parameters and the header ask for. Raises Problem."""
    ranges = {
        "created_after": "created_at__gte",
        "created_before": "created_at__lt",
        "closed_after": "closed_at__gte",
        "closed_before": "closed_at__lt",
        "reference": "reference",
        "pool": "pool",
    }
    found = found.filter(**{column: filters[name] for name, column in ranges.items() if name in filters})
    if status := filters.get("status"):
        found = found.open_now() if status == ConversationState.OPEN else found.ended()
    if number := filters.get("proxy_number"):
        found = found.with_participant(proxy_number__number_hash=number_hash(number))
    if (number := request.headers.get(PERSON.name)) is not None:
        found = found.with_participant(real_number__number_hash=number_hash(_parsed(number)))
    return found


def _parsed(number: str) -> str:
    """Return the number in E.164. The problem does not repeat what was found."""
    try:
        return parse_e164(number)
    except NotE164 as error:
        raise header_problem(PERSON.name, "not_e164", sentence(error)) from None
