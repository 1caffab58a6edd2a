"""Blocks: a person, a pair of people towards each other, or all numbers with a prefix.

A block concerns the conversations of one service, or those of every service. It stops messages from a person, not to
them. It also keeps new conversations from beginning with them. The gates read the active blocks with each message. So
a block applies at once, and it stops by itself at its `until`. What is still queued from a blocked person is
cancelled. A message that is being processed at that moment may still go.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import phonenumbers
from django.core.exceptions import ImproperlyConfigured
from django.db import models, transaction
from django.db.models import QuerySet
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from conversations.models import Block, OutboundMessage, OutboundState
from conversations.models.block import begins
from conversations.models.outbound_reasons import BLOCKED
from numbers.models import RealNumber
from smsproxy.crypto import decrypt
from smsproxy.database.clock import database_now
from smsproxy.phone import canonical_prefixes, is_valid
from smsproxy.phone_spellings import holds_phone_number
from smsproxy.states import StaleState

PREFIX_DIGITS = (2, 11)
# Digits after the country code. With fewer, a prefix is most of a country.
NARROW_DIGITS = 2
# Numbers are encrypted, so counting decrypts them. This many take about half a second.
MOST_COUNTED = 10_000
REASON_LENGTH = 200
# The fields of an outbound message that name the author: of a relay, and of a message of the marketplace.
_AUTHORS = ("inbound__sender", "api_message__author__real_number")


class CannotBlock(ValueError):
    """The block is not possible. field: the argument at fault. The message holds no number of a person."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class AlreadyBlocked(CannotBlock):
    """A block of the same people or prefix is active in the same service. block: that one."""

    def __init__(self, block: Block) -> None:
        super().__init__("person", _("nothing was done: this block is active already"))
        self.block = block


class Reach(NamedTuple):
    """The known people whose numbers have a prefix. counted: the people looked at, the newest MOST_COUNTED at most."""

    people: int
    counted: int

    def __str__(self) -> str:
        if self.counted < MOST_COUNTED:
            return f"{self.people} of the people that we know"
        return f"{self.people} of the newest {MOST_COUNTED:,} people that we know"


def block_person(
    person: RealNumber, *, reason: str, actor: str, until: datetime | None = None, service_id: int | None = None
) -> Block:
    """Stop all messages of this person, and cancel those that are queued. Raises CannotBlock or AlreadyBlocked.

    service_id: only in the conversations of this service; None: in those of every service.
    """
    with transaction.atomic():
        RealNumber.objects.lock([person])  # A concurrent block of the same person waits.
        block = _create(reason, actor, until, service_id, person)
        _cancel_of(person.pk, actor, service_id)
    return block


def block_pair(
    one: RealNumber,
    other: RealNumber,
    *,
    reason: str,
    actor: str,
    until: datetime | None = None,
    service_id: int | None = None,
) -> Block:
    """Stop the messages of these two to each other, and cancel those that are queued.

    Raises CannotBlock or AlreadyBlocked. Others in a group still get their messages. service_id: as for `block_person`.
    """
    if one == other:
        raise CannotBlock("other", _("expected two people, found the same person twice"))
    with transaction.atomic():
        RealNumber.objects.lock([one, other])
        block = _create(reason, actor, until, service_id, one, other)
        _cancel_of(one.pk, actor, service_id, recipient=other)
        _cancel_of(other.pk, actor, service_id, recipient=one)
    return block


def block_prefix(
    prefix: str,
    *,
    reason: str,
    actor: str,
    until: datetime | None = None,
    service_id: int | None = None,
    accept_wide: bool = False,
) -> Block:
    """Stop all messages from numbers that begin with the prefix, and cancel those that are queued.

    Raises CannotBlock or AlreadyBlocked. service_id: as for `block_person`. accept_wide: block even most of a country.
    """
    prefix = checked_prefix(prefix, accept_wide=accept_wide)
    with transaction.atomic():
        block = _create(reason, actor, until, service_id, prefix=prefix)
        queued = _queued(service_id)
        senders = models.Q(*(models.Q(pk__in=queued.values(author)) for author in _AUTHORS), _connector=models.Q.OR)
        for person_id in _with_prefix(prefix, RealNumber.objects.filter(senders)):
            _cancel_of(person_id, actor, service_id)
    return block


def checked_reason(reason: str) -> str:
    """Return the reason without spaces around it. Raises CannotBlock if it is empty, too long or holds a number."""
    reason = reason.strip()
    if not reason or len(reason) > REASON_LENGTH:
        said = _("expected a reason of 1 to %(most)s characters, found %(found)s")
        raise CannotBlock("reason", said % {"most": REASON_LENGTH, "found": len(reason)})
    if holds_phone_number(reason):
        raise CannotBlock("reason", _("expected a reason without a phone number: lists show it"))
    return reason


def checked_until(until: datetime | None) -> datetime | None:
    if until is not None and until <= database_now():
        raise CannotBlock("until", _("expected a time in the future, or none, found one in the past"))
    return until


def checked_prefix(prefix: str, *, accept_wide: bool = False) -> str:
    """Return the prefix without spaces.

    Raises CannotBlock if it is none, a whole number, begins no canonical number, or covers most of a country and is
    not accepted so.
    """
    prefix = prefix.replace(" ", "")
    least, most = PREFIX_DIGITS
    if not re.fullmatch(rf"\+[0-9]{{{least},{most}}}", prefix):
        said = _("expected “+” and %(least)s to %(most)s digits, such as +88213")
        raise CannotBlock("prefix", said % {"least": least, "most": most})
    if is_whole_number(prefix):  # A prefix is stored and listed in clear. A person's number never is.
        said = _("expected the beginning of numbers, found a whole number: block the person instead")
        raise CannotBlock("prefix", said)
    if instead := canonical_prefixes(prefix):
        said = _("expected the canonical spelling of these numbers, found another. Type: %(instead)s")
        either = _("or")
        raise CannotBlock("prefix", said % {"instead": f" {either} ".join(instead)})
    if not accept_wide and (countries := widely_covered(prefix)):
        told = ", ".join(countries[:5]) + (" " + _("and more") if len(countries) > 5 else "")
        said = _(
            "expected more digits: %(prefix)s begins all numbers, or a large part, of %(told)s. It covers %(covered)s. "
            "Add digits, or confirm that you want to block them all"
        )
        raise CannotBlock("prefix", said % {"prefix": prefix, "told": told, "covered": reach(prefix)})
    return prefix


def is_whole_number(prefix: str) -> bool:
    """Return whether this is the number of a person that we know, or any valid number."""
    return RealNumber.objects.with_number(prefix).exists() or is_valid(prefix)


def widely_covered(prefix: str) -> Sequence[str]:
    """Return the countries of which this prefix begins all numbers or a large part, such as ["GB", ...] for +447."""
    digits = prefix.removeprefix("+")
    countries = []
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        rest = digits.removeprefix(str(code))
        if str(code).startswith(digits) or (rest != digits and len(rest) < NARROW_DIGITS):
            countries += [_country_name(region) for region in regions]
        elif rest != digits:
            countries += [region for region in regions if _is_country_code(rest, region)]
    return countries


def reach(prefix: str) -> Reach:
    """Count the known people whose numbers begin with the prefix."""
    newest = RealNumber.objects.order_by("-pk")[:MOST_COUNTED]
    return Reach(sum(1 for _ in _with_prefix(prefix, newest)), newest.count())


def find_blocked(numbers: Sequence[str], *, service_id: int | None) -> tuple[int, int | None] | None:
    """Return the position of a number that no conversation of this service between these may have, or None.

    For a blocked pair, also the position of the other. Otherwise that is None. numbers: E.164.
    """
    concerned = models.Q(person__in=RealNumber.objects.with_number(*numbers)) | ~models.Q(prefix="")
    blocks = list(Block.objects.active().in_service(service_id).filter(concerned).order_by("pk"))
    if not blocks:
        return None
    known = RealNumber.objects.by_number(numbers)
    positions = {known[number].pk: position for position, number in enumerate(numbers) if number in known}
    for block in blocks:
        if block.person_id is None:
            found = next((place for place, number in enumerate(numbers) if begins((block.prefix,), number)), None)
            if found is not None:
                return found, None
        elif block.other_id is None:
            return positions[block.person_id], None
        elif block.other_id in positions:
            first, second = sorted((positions[block.person_id], positions[block.other_id]))
            return second, first
    return None


def _create(
    reason: str,
    actor: str,
    until: datetime | None,
    service_id: int | None,
    person: RealNumber | None = None,
    other: RealNumber | None = None,
    prefix: str = "",
) -> Block:
    same = Block.objects.active().of(person, other, prefix).filter(service=service_id).first()
    if same is not None:
        raise AlreadyBlocked(same)
    return Block.objects.create(
        reason=checked_reason(reason),
        until=checked_until(until),
        created_by=actor,
        service_id=service_id,
        person=person,
        other=other,
        prefix=prefix,
    )


def _queued(service_id: int | None) -> "QuerySet[OutboundMessage]":
    """Return the queued messages of this service, or of every service."""
    queued = OutboundMessage.objects.filter(state=OutboundState.QUEUED).defer("text")
    return queued if service_id is None else queued.filter(conversation__service=service_id)


def _cancel_of(person_id: int, actor: str, service_id: int | None, **recipient: RealNumber) -> None:
    """Cancel what is queued of this person's texts, and of those that the marketplace sent in their name."""
    for author in _AUTHORS:
        for message in _queued(service_id).filter(**{author: person_id}, **recipient):
            with suppress(StaleState):  # A worker has just claimed it.
                message.cancel(reason=BLOCKED, actor=actor)


def _with_prefix(prefix: str, people: "QuerySet[RealNumber]") -> Iterator[int]:
    """Return the ids of those whose number begins with the prefix. A number that no key decrypts is left out."""
    # As text, the field is not decrypted by the query, which one such number would stop.
    for pk, token in people.annotate(token=Cast("number", models.TextField())).values_list("pk", "token"):
        with suppress(ImproperlyConfigured):
            if begins((prefix,), decrypt(token)):
                yield pk


def _country_name(region: str) -> str:
    return "no country" if region == "001" else region


def _is_country_code(digits: str, region: str) -> bool:
    """Return whether these digits after the country code begin all numbers of the region, as 246 does for Barbados."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    leading = metadata.leading_digits if metadata else None
    return bool(leading and re.fullmatch(leading, digits))
