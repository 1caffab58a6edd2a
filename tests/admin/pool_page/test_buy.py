"""Buy numbers: offers with their prices are shown first, and staff pay no more than they agreed to, once."""

from decimal import Decimal

import pytest
from django.urls import reverse

from numbers.admin.pool_page import buy
from numbers.models import NumberOrder, OrderState, Pool, TopUp, VirtualNumber
from numbers.provisioning import staff_order
from smsproxy.carriers.base import TemporaryFailure
from smsproxy.staff.models import AuditEntry
from tests.support.builders import add_numbers
from tests.support.top_ups import add_rule, offers

pytestmark = pytest.mark.django_db

BUY = "/admin/pool/buy/"
TWO = {"country": "GB", "count": "2"}


def told(response):
    return [f"{message.level_tag}: {message}" for message in response.context["messages"]]


def agree(client, page, reason="two more for the weekend"):
    return client.post(BUY, {"agreement": page.context["agreement"].signed, "reason": reason}, follow=True)


def test_the_right_to_buy_is_needed(staff):
    client = staff("view_virtualnumber", "view_numberorder")

    assert client.get(BUY).status_code == 403
    assert client.post(BUY, {"agreement": "x", "reason": "why"}).status_code == 403


def test_the_form_begins_with_the_country_of_the_pool(staff):
    add_numbers(2)

    assert 'value="GB"' in staff().get(BUY).text


def test_offers_show_each_price_the_total_and_the_rent_afterwards(staff, rentals):
    rentals.offers = offers("1.00", "1.50", "2.00")
    add_numbers(1)
    VirtualNumber.objects.update(monthly_cost="3.00")
    rule = add_rule(monthly_budget=Decimal("40.00"))

    page = staff().get(BUY, TWO)

    assert [str(offer.monthly_cost) for offer in page.context["agreement"].offers] == ["1.00", "1.50"]
    for text in ("EUR 2.50 a month", "EUR 3.00 a month today, EUR 5.50 afterwards", "EUR 40.00 of its EUR 40.00"):
        assert text in page.text
    assert rentals.bought == []
    assert not NumberOrder.objects.exists()
    assert TopUp.objects.get() == rule


def test_numbers_of_unknown_or_higher_cost_are_not_offered(staff, rentals):
    rentals.offers = offers(None, "9.00", "1.00")

    page = staff().get(BUY, {**TWO, "max_monthly_cost": "2.00"})

    assert [str(offer.monthly_cost) for offer in page.context["agreement"].offers] == ["1.00"]
    assert "The carrier has only 1 of the 2" in page.text


def test_without_any_offer_the_page_says_to_look_for_something_different(staff, rentals):
    rentals.offers = []

    page = staff().get(BUY, TWO)

    assert "no such number for rent" in page.text
    assert 'name="agreement"' not in page.text


def test_a_carrier_that_does_not_answer_is_told(staff, rentals):
    rentals.fail("search", *[TemporaryFailure("the carrier is unreachable")] * 4)

    page = staff().get(BUY, TWO)

    assert told(page) == [
        "error: The carrier's offers are not known: the carrier is unreachable. Try again in a minute."
    ]


def test_a_slow_carrier_does_not_hold_the_request(staff, rentals, monkeypatch):
    monkeypatch.setattr("threading.Timer.start", lambda timer: timer.function())

    assert "no answer in time" in told(staff().get(BUY, TWO))[0]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({"country": "Britain"}, "country"),
        ({"country": "XX"}, "country"),
        ({"count": "0"}, "count"),
        ({"count": "101"}, "count"),
        ({"pattern": "44x"}, "pattern"),
        ({"max_monthly_cost": "-1"}, "max_monthly_cost"),
    ],
)
def test_a_wrong_value_is_explained_beside_its_field(staff, rentals, typed, expected):
    page = staff().get(BUY, TWO | typed)

    assert list(page.context["form"].errors) == [expected]
    assert rentals.calls == []


def test_an_agreement_places_an_order_and_buys_nothing_in_the_request(staff, rentals):
    berlin = Pool.objects.create(name="berlin")
    client = staff()

    response = agree(client, client.get(BUY, {**TWO, "pool": berlin.pk, "type": "mobile", "features": ["MMS"]}))
    assert told(response) == ["error: Nothing was bought: the search is not valid any more. Look for offers again."]

    response = agree(client, client.get(BUY, {**TWO, "pool": berlin.pk, "type": "mobile"}))

    order = NumberOrder.objects.get()
    assert response.redirect_chain == [(reverse("admin:pool_order", args=[order.pk]), 302)]
    assert (order.count, order.pool, order.type, order.state) == (2, berlin, "mobile", OrderState.OPEN)
    assert (order.agreed_total, order.max_monthly_cost, order.ordered_by) == (Decimal("2.50"), Decimal("1.25"), "sam")
    assert order.events.get().reason == "opened: two more for the weekend"
    assert rentals.bought == []
    entry = AuditEntry.objects.get(action="did")
    assert (entry.detail, entry.reason) == ("ordered 2 numbers, at most EUR 2.50 a month", "two more for the weekend")


def test_a_form_sent_twice_orders_once(staff, rentals):
    client = staff()
    page = client.get(BUY, TWO)

    agree(client, page)
    again = agree(client, page)

    assert NumberOrder.objects.count() == 1
    assert told(again) == ["info: This was ordered already. Nothing more is bought."]
    assert AuditEntry.objects.filter(action="did").count() == 1


def test_two_pages_of_offers_order_twice(staff, rentals):
    client = staff()

    for _ in range(2):
        agree(client, client.get(BUY, TWO))

    assert NumberOrder.objects.count() == 2
    staff_order.carry_out_all()
    assert len(rentals.bought) == 4


def test_nothing_is_ordered_without_a_reason(staff, rentals):
    client = staff()

    response = agree(client, client.get(BUY, TWO), reason="")

    assert "Expected the reason" in response.text
    assert "EUR 2.50 a month" in response.text
    assert not NumberOrder.objects.exists()


def test_offers_that_are_forged_or_too_old_order_nothing(staff, rentals, monkeypatch):
    client = staff()
    page = client.get(BUY, TWO)
    forged = client.post(BUY, {"agreement": page.context["agreement"].signed + "x", "reason": "why"}, follow=True)
    monkeypatch.setattr(buy, "OFFERS_VALID", -1)

    for response in (forged, agree(client, page)):
        assert told(response) == ["error: Nothing was bought: the offers are too old. Look for offers again."]
    assert not NumberOrder.objects.exists()
