"""Which virtual number a person gets in a conversation.

Each participant gets a proxy number of their own, whatever the other side gets, so the pool needs only as many numbers
as the busiest person has live conversations. The order of preference is here; that a pair is never live twice is the
database's word (`one_live_route`), which the caller runs into and then takes the next candidate.
"""

from collections import Counter
from collections.abc import Collection

from django.conf import settings
from django.db.models import Case, F, IntegerField, Q, Value, When
from django.db.models.functions import Random

from numbers.models import RealNumber, VirtualNumber
from numbers.models.virtual import REQUIRED_SENDER_COUNTRIES, VirtualNumberQuerySet


def candidates(
    person: RealNumber, counterpart: RealNumber | None = None, *, others: Collection[VirtualNumber] = ()
) -> VirtualNumberQuerySet:
    """The numbers that this person could be given, best first.

    Best is: the number that they last used with the same counterpart, then one of the person's own country, then of
    their own area, then one that few of the others in the conversation have, then the one given out longest ago.
    """
    free = serving(person).free_for(person)
    order = []
    if counterpart is not None and (last_used := _last_used(person, counterpart)):
        order.append(_first(Q(pk=last_used)))
    if settings.NUMBER_GEOGRAPHY != "any":
        order.append(_first(Q(country=person.country)))
        if area := person.area:
            order.append(_first(Q(area=area)))
    if others:
        taken = Counter(number.pk for number in others)
        times = [When(pk=pk, then=Value(count)) for pk, count in taken.items()]
        order.append(Case(*times, default=Value(0), output_field=IntegerField()))
    # Random among equals, so that people who come at the same moment do not all get the same number.
    return free.order_by(*order, F("last_assigned_at").asc(nulls_first=True), Random())


def serving(person: RealNumber) -> VirtualNumberQuerySet:
    """The active numbers that can text this person's phone and may be given to them, free or not."""
    numbers = VirtualNumber.objects.active().able_to_text(person.country)
    if countries := sender_countries(person.country):
        numbers = numbers.filter(country__in=countries)
    return numbers


def sender_countries(country: str) -> tuple[str, ...]:
    """The countries of which a number for a phone of this country must be; empty: any."""
    if settings.NUMBER_GEOGRAPHY == "same-country":
        return (country,)
    return REQUIRED_SENDER_COUNTRIES.get(country, ())


def _first(condition: Q) -> Case:
    """Sorts the rows that meet the condition before all others."""
    return Case(When(condition, then=Value(0)), default=Value(1), output_field=IntegerField())


def _last_used(person: RealNumber, counterpart: RealNumber) -> int | None:
    together = person.participants.filter(conversation__participants__real_number=counterpart)
    return together.order_by("-pk").values_list("proxy_number", flat=True).first()
