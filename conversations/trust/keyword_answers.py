"""Do what a keyword asks, and answer it: STOP opts a person out, START ends that, HELP says whom to ask.

The other participants learn in neutral words that a person receives nothing, once in a conversation: at once in the one
where STOP was texted, in any other when they next write. They never learn why.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import prefetch_related_objects

from conversations.delivery.opt_out import opt_out
from conversations.delivery.outbox import queue_keyword_answer, queue_notice_once
from conversations.models import Conversation, LimitScope, MessageKind, OutboundMessage, Participant
from conversations.models.limit_usage import DAY, HOUR
from conversations.models.own_texts import text_in
from conversations.trust.destinations import is_destination
from conversations.trust.keywords import Keyword
from conversations.trust.limits import may_answer_help
from numbers.models import RealNumber, VirtualNumber
from smsproxy.database.clock import database_now
from smsproxy.services.texts import TextKind
from smsproxy.states import StaleState


def answer_keyword(
    keyword: Keyword,
    person: RealNumber,
    number: VirtualNumber | None,
    *,
    author: Participant | None = None,
    sent_at: datetime | None = None,
) -> None:
    """Do what the keyword asks, and queue the answer, in the caller's transaction.

    number: the one that the person texted; None: not one of ours. author: the person in the conversation of that pair
    of numbers. sent_at: the carrier's own time of the keyword.
    """
    # Keywords of one person are processed one by one, so that each counts the answers to the others.
    person = RealNumber.objects.select_for_update(no_key=True).only("opted_out_at").get(pk=person.pk)
    answers_from = _answering_number(person, number, author)
    match keyword:
        case Keyword.STOP:
            _stop(person, answers_from, author, sent_at)
        case Keyword.START:
            _start(person, answers_from, author, sent_at)
        case Keyword.HELP:
            if answers_from and may_answer_help(person):
                _answer(person, answers_from, author, TextKind.HELP_ANSWER)


def opted_out_notice(to: Participant, others: Sequence[Participant]) -> tuple[str, str]:
    """Return the notice that one of the others receives nothing, and the key under which it is sent once.

    Return empty strings if none of them has opted out.
    """
    people = RealNumber.objects.opted_out().only("opted_out_at").in_bulk([other.real_number_id for other in others])
    about = next((other for other in others if other.real_number_id in people), None)
    if about is None:
        return "", ""
    return _notice(about, people[about.real_number_id], to)


def _answering_number(
    person: RealNumber, number: VirtualNumber | None, author: Participant | None
) -> VirtualNumber | None:
    """Return the number that answers this person, or None if none does.

    A stranger's number may be one that costs much to answer.
    """
    if number is None or not number.can_sms:
        return None
    return number if author or is_destination(person.number, number.pool) else None


def _stop(
    person: RealNumber, number: VirtualNumber | None, author: Participant | None, sent_at: datetime | None
) -> None:
    try:
        # By the carrier's time, a START that was sent before this STOP and arrives after it is recognised.
        cancelled = opt_out(person, reason="texted STOP", since=sent_at)
    except StaleState:
        return  # Opted out already: by a STOP that was answered, or by the carrier.
    told = _counterparts(author, cancelled)
    Conversation.objects.lock(to.conversation_id for to, _ in told)
    for to, about in told:
        text, key = _notice(about, person, to)
        if text:
            queue_notice_once(key, to.proxy_number, to.real_number, text, participant=to)
    _answer_change(person, number, author, TextKind.STOP_ANSWER)


def _start(
    person: RealNumber, number: VirtualNumber | None, author: Participant | None, sent_at: datetime | None
) -> None:
    # The carrier's times are whole seconds.
    if sent_at and person.opted_out_at and sent_at < person.opted_out_at.replace(microsecond=0):
        return  # It was sent before the STOP.
    try:
        person.opt_in(reason="texted START")
    except StaleState:
        return  # Another START came first.
    _answer_change(person, number, author, TextKind.START_ANSWER)


def _answer_change(
    person: RealNumber, number: VirtualNumber | None, author: Participant | None, kind: TextKind
) -> None:
    """Answer a STOP or START that has just changed whether the person gets messages."""
    if number and not _carrier_answers(number) and _changes_seldom(person):
        _answer(person, number, author, kind)


def _changes_seldom(person: RealNumber) -> bool:
    """Return whether the latest change is within the limits of answers.

    The changes themselves are counted, so answers to HELP never use up the answer to a STOP.
    """
    now = database_now()
    return all(
        not most or person.events.filter(created_at__gt=now - timedelta(seconds=period)).count() <= most
        for period, most in zip((HOUR, DAY), LimitScope.KEYWORD_ANSWERS.limits, strict=True)
    )


def _answer(person: RealNumber, number: VirtualNumber, author: Participant | None, kind: TextKind) -> None:
    template = text_in(author.conversation if author else None, kind)
    if not template:
        return
    names = {
        "{operator}": settings.OPERATOR_NAME or "This service",
        "{contact}": settings.OPERATOR_CONTACT or "its website or app",
    }
    for placeholder, name in names.items():
        template = template.replace(placeholder, name)
    queue_keyword_answer(number, person, template, participant=author)


def _carrier_answers(number: VirtualNumber) -> bool:
    """Return whether the carrier itself answers STOP and START to this number, by the setting."""
    places = settings.CARRIER_ANSWERS_STOP
    return number.country in places or f"{number.country}:{number.type}" in places


def _counterparts(
    author: Participant | None, cancelled: Sequence[OutboundMessage]
) -> list[tuple[Participant, Participant]]:
    """Return whom to tell, each with the person who opted out as a participant of the same conversation.

    They are the others in the conversation of the STOP, and the authors of messages that were just cancelled. In a
    conversation on hold nobody is told: a machine may answer that.
    """
    about: dict[int, Participant] = {}
    relays = [message for message in cancelled if message.kind == MessageKind.RELAY]
    prefetch_related_objects(relays, "participant")
    authors = Participant.objects.filter(inbound_messages__in={message.inbound_id for message in relays})
    by_conversation = {message.conversation_id: message.participant for message in relays if message.participant}
    for wrote in authors.distinct():
        if wrote.conversation_id in by_conversation:
            about[wrote.current.pk] = by_conversation[wrote.conversation_id]
    if author and not author.is_out and author.conversation.is_live():
        about |= {other.pk: author for other in author.others().select_related(None)}
    # A released number may stand for another conversation of the same person.
    told = Participant.objects.unreleased().filter(pk__in=about, removed_at=None, conversation__held_at=None)
    # The number itself is not needed: one that cannot be decrypted must not stop a STOP.
    told = told.select_related("proxy_number", "real_number", "conversation").defer("real_number__number")
    return [(to, about[to.pk]) for to in told]


def _notice(about: Participant, person: RealNumber, to: Participant) -> tuple[str, str]:
    """Return the notice about this person to another participant, and its key: once for an opt-out.

    The hour of the opt-out stands for it: a person who alternates STOP and START causes one notice an hour.
    """
    template = text_in(to.conversation, TextKind.OPTED_OUT)
    text = template.replace("{label}", about.label or "the other person")
    hour = f"{person.opted_out_at:%Y%m%d%H}"
    return text[:1].upper() + text[1:], f"opted-out:{about.conversation_id}:{person.pk}:{to.real_number_id}:{hour}"
