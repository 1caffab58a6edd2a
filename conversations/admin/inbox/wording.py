"""The words of the inbox: what an item is, and why a conversation is likely."""

from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from conversations.insight.likely_conversation import Candidate, Why
from conversations.insight.waiting import MOST_TEXTS, Waiting
from conversations.models import InboundOutcome, InboxKind


def conversation_url(pk: int) -> str:
    """Return the address of the page of a conversation."""
    return reverse("admin:conversations_conversation_change", args=[pk])


def why_of(candidate: Candidate) -> str:
    """Return in a sentence why this conversation is likely, or "" if nothing speaks for it."""
    ago = {"time": _ago(candidate.at)} if candidate.at else None
    match candidate.why:
        case Why.THEIR_NUMBER:
            told = _("This number was theirs in it until %(time)s ago.") % ago if ago else _("This number is theirs.")
        case Why.OTHERS_NUMBER:
            told = _("The number is that of another participant.")
            told += " " + _("The sender wrote in it %(time)s ago.") % ago if ago else ""
        case Why.ONLY_OPEN:
            told = _("It is the only open conversation of the sender.")
            told += " " + _("They wrote to another number of it %(time)s ago.") % ago if ago else ""
        case Why.WROTE_LAST:
            told = _("The sender wrote to another number of it %(time)s ago, and in no other one since.") % ago
        case _no:
            return ""
    return told


def _ago(at: datetime) -> str:
    """Return how long ago that is in its largest unit, such as "3 days"."""
    return timesince(at, depth=1) if timezone.now() - at >= timedelta(minutes=1) else _("less than a minute")


def _unbroken(number: object) -> str:
    """Return the number so that no line ends within it."""
    return str(number).replace(" ", "\u00a0")


def sentence_of(item: Waiting) -> str:
    """Return what the item is, in a sentence."""
    row = item.row
    if item.kind == InboxKind.HOLD:
        return _("%(name)s is on hold: its texts are stored and not passed on.") % {"name": row}
    if item.kind == InboxKind.UNKNOWN:
        told = _("A text from %(number)s to %(person)s was perhaps sent.")
        return told % {"number": row.sender, "person": _unbroken(row.recipient)}
    if row.outcome == InboundOutcome.UNDECODABLE:
        return _("A message of the carrier that cannot be read.")
    names = {
        "person": _unbroken(row.sender or _("nobody known")),
        "number": row.virtual_number or _("a number that is not ours"),
    }
    if item.has_more:
        told = _("More than %(count)d texts from %(person)s to %(number)s have no conversation.")
        return told % {**names, "count": MOST_TEXTS}
    told = ngettext(
        "A text from %(person)s to %(number)s has no conversation.",
        "%(count)d texts from %(person)s to %(number)s have no conversation.",
        item.texts,
    )
    return told % {**names, "count": item.texts}


def detail_of(item: Waiting) -> str:
    """Return what else helps to decide, or ""."""
    row = item.row
    if item.kind == InboxKind.HOLD:
        return str(row.held_reason)
    if item.kind == InboxKind.UNKNOWN:
        told = _("The carrier did not answer, and no delivery receipt came.")
        return told + (" " + _("The carrier's records do not have it.") if row.is_not_seen else "")
    return str(row.reason)
