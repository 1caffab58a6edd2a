"""Look up real numbers before a conversation uses them: whether they exist, their country and line type."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.db import connection
from django.utils import timezone

from numbers.models import RealNumber
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import CarrierError, LookupResult, LookupVerdict
from smsproxy.database.deadline import deadline_suspended
from smsproxy.phone import country_of

log = logging.getLogger(__name__)


class NumberNotValid(Exception):
    """The lookup says that this number does not exist. position: its index in the list that was looked up."""

    def __init__(self, position: int) -> None:
        super().__init__("the lookup says that this number does not exist")
        self.position = position


def look_up(numbers: Sequence[str]) -> dict[str, LookupResult]:
    """Look up these E.164 numbers with the service that LOOKUP names, all at once, and return the new results.

    Numbers with a recent result are not looked up again. Call it outside any transaction. A service that does not
    answer blocks nothing: the offline check has passed, and the next conversation asks again. Raises NumberNotValid.
    """
    if settings.LOOKUP == "offline":
        return {}
    known = RealNumber.objects.by_number(numbers)
    asked = [number for number in numbers if number not in known or not known[number].is_looked_up]
    if not asked:
        return {}
    with deadline_suspended(), ThreadPoolExecutor(max_workers=len(asked), thread_name_prefix="lookup") as pool:
        results = dict(zip(asked, pool.map(_ask, asked), strict=True))
    for position, number in enumerate(numbers):
        result = results.get(number)
        if result is not None and result.verdict == LookupVerdict.INVALID:
            raise NumberNotValid(position)
    return {number: result for number, result in results.items() if result is not None}


def _ask(number: str) -> LookupResult | None:
    try:
        return get_carrier().look_up(number, country_of(number))
    except CarrierError as error:
        log.warning("the lookup did not answer (%s): continuing without it", type(error).__name__)
        return None
    finally:
        connection.close()  # This thread's connection, if the carrier used one. The thread ends here.


def store_results(people: dict[str, RealNumber], answers: dict[str, LookupResult]) -> None:
    """Store the results of the lookup on the rows of these people."""
    for number, answer in answers.items():
        person = people[number]
        person.country = answer.country or person.country
        person.line_type = answer.line_type
        person.looked_up_with = settings.LOOKUP
        person.looked_up_at = timezone.now()
        person.save(update_fields=["country", "line_type", "looked_up_with", "looked_up_at"])
