"""A site on a working day: a thread with every kind of line, an inbox with work, a pool with a failing number."""

from dataclasses import dataclass
from decimal import Decimal

from django.contrib.auth.models import Group, User

from conversations.intake.receive import receive
from conversations.models import AccountRateLimit, Conversation, InboundMessage
from numbers.models import Pool, RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText
from tests.support import dashboard
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, ScriptedCarrier, add_numbers, members, proxies, talk
from tests.support.inbox import free_number, lost_text, perhaps_sent
from tests.support.number_health import receipts
from tests.support.threads import busy_thread

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, kw_only=True)
class Site:
    """What its tests name. lost: Alice's text without a route. failing: a number that two people use."""

    thread: Conversation
    held: Conversation
    lost: InboundMessage
    failing: VirtualNumber
    alice: RealNumber


def open_site(carrier: ScriptedCarrier) -> Site:
    """Make the site. HEALTH_MIN_RECEIPTS must be 10 or less for the failing number."""
    dashboard.add_worker()
    dashboard.add_samples()
    dashboard.add_spend()
    dashboard.add_webhooks()
    thread = busy_thread(carrier)
    to_bob, _ = proxies(thread)
    add_numbers(3, start="+4477009006")
    berlin = Pool.objects.create(name="berlin", number_cap=10)
    VirtualNumber.objects.filter(number__startswith="+4477009006").update(pool=berlin)
    VirtualNumber.objects.update(is_rented=True, monthly_cost=Decimal("1.25"))
    held = talk(BOB, CHARLIE, reference="order-18")
    held.hold(reason="a loop: two machines repeat long texts", actor="")
    receive(InboundText(carrier_message_id="first", sender=ALICE, recipient=to_bob, text="hello"))
    number = free_number(thread)
    perhaps_sent(held)
    lost_text(STRANGER, number, "Who are you?")
    lost_text(STRANGER, number, "Hello?")
    lost = lost_text(ALICE, number)
    failing = members(thread)[0].proxy_number
    receipts(VirtualNumber.objects.exclude(pk=failing.pk).earliest("pk"), delivered=20)
    receipts(failing, lost=20)
    AccountRateLimit.pause("no credit", 3600, code="9")
    alice = RealNumber.objects.with_number(ALICE).get()
    return Site(thread=thread, held=held, lost=lost, failing=failing, alice=alice)


def member(group: str, name: str) -> User:
    """Return a new member of staff who is in this group only."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user
