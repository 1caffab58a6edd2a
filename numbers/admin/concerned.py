"""The people whom the rows of numbers concern, for the audit, and who may see a number in full."""

from numbers.models import PersonEvent, RealNumber, Shortage
from smsproxy.staff.concerned import concerns
from smsproxy.staff.models import RevealKind
from smsproxy.staff.reveal_pages import register

concerns(RealNumber, lambda person: [person.pk])
concerns(PersonEvent, lambda event: [event.person_id])
concerns(Shortage, lambda shortage: [shortage.real_number_id])

register(RevealKind.NUMBER, RealNumber, "numbers.reveal_realnumber")
