"""Which virtual number a person gets in a conversation.

Each participant gets a proxy number of their own, whatever the other side gets, so the pool needs only as many numbers
as the busiest person has live conversations. The order of preference is here; that a pair is never live twice is the
database's word (`one_live_route`), which the caller runs into and then takes the next candidate.
"""

from collections.abc import Collection

from django.conf import settings
from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Random

from numbers.models import RealNumber, VirtualNumber


def candidates(
    person: RealNumber, counterpart: RealNumber | None = None, *, others: Collection[VirtualNumber] = ()
) -> "QuerySet[VirtualNumber]":
    """The numbers that this person could be given, best first.

    Best is: the number that they last used with the same counterpart, then one of the person's own country, then of
    their own area, then one that none of the others in the conversation has, then the one given out longest ago.
    """
    free = VirtualNumber.objects.free_for(person)
    if settings.NUMBER_GEOGRAPHY == "same-country":
        free = free.filter(country=person.country)
    order = []
    if counterpart is not None and (last_used := _last_used(person, counterpart)):
        order.append(_first(Q(pk=last_used)))
    if settings.NUMBER_GEOGRAPHY != "any":
        order.append(_first(Q(country=person.country)))
        if area := person.area:
            order.append(_first(Q(area=area)))
    if others:
        order.append(_first(~Q(pk__in=[number.pk for number in others])))
    # Random among equals, so that people who come at the same moment do not all get the same number.
    return free.order_by(*order, F("last_assigned_at").asc(nulls_first=True), Random())


def _first(condition: Q) -> Case:
    """Sorts the rows that meet the condition before all others."""
    return Case(When(condition, then=Value(0)), default=Value(1), output_field=IntegerField())


def _last_used(person: RealNumber, counterpart: RealNumber) -> int | None:
    together = person.participants.filter(conversation__participants__real_number=counterpart)
    return together.order_by("-pk").values_list("proxy_number", flat=True).first()
