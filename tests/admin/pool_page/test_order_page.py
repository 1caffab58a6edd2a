"""The progress of an order: what is bought, what failed and why, and how to stop it."""

from uuid import uuid4

import pytest
from django.urls import reverse

from numbers.models import NumberOrder, NumberState, OrderState, VirtualNumber
from numbers.provisioning.order import OrderSpec
from numbers.provisioning.staff_order import carry_out_all, find_offers, place
from smsproxy.carriers.base import TemporaryFailure
from smsproxy.staff.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(rentals):
    spec = OrderSpec(country="GB", count=2)
    return place(spec, find_offers(spec), token=uuid4(), reason="for the weekend", actor="kim")[0]


def page_of(order):
    return reverse("admin:pool_order", args=[order.pk])


def stop(client, order, reason="too many"):
    return client.post(reverse("admin:pool_order_stop", args=[order.pk]), {"reason": reason}, follow=True)


def test_a_new_order_waits_for_the_worker_and_refreshes_itself(staff, order):
    page = staff().get(page_of(order)).text

    assert "0 of 2 bought" in page
    assert "data-live" in page
    assert "pool_page/progress.js" in page
    assert "ordered by kim" in page


def test_a_finished_order_shows_each_number_and_refreshes_no_more(staff, order, rentals):
    carry_out_all()

    page = staff().get(page_of(order)).text

    assert "2 of 2 bought" in page
    assert "Complete: all of them are ours" in page
    assert all(number in page for number in rentals.account)
    assert "EUR 2.50 a month" in page
    assert "data-live" not in page


def test_a_number_that_left_service_before_its_texts_reach_us_is_not_said_to_reach_us(staff, order, rentals):
    carry_out_all()
    VirtualNumber.objects.update(webhook_url="", state=NumberState.QUARANTINED)

    page = staff().get(page_of(order)).text

    assert "bought, does not reach us yet" in page
    assert "bought, reaches us" not in page


def test_a_refused_number_is_shown_with_the_reason(staff, order, rentals):
    rentals.gone.add("+447700900700")
    carry_out_all()

    page = staff().get(page_of(order)).text

    assert "2 of 2 bought" in page
    assert "the carrier refused it: the number is gone" in page


def test_a_carrier_error_is_shown_with_the_next_attempt(staff, order, rentals):
    rentals.fail("search", *[TemporaryFailure("the carrier is unreachable")] * 4)
    carry_out_all()

    page = staff().get(page_of(order)).text

    assert "carrier error: the carrier is unreachable" in page
    assert "next attempt" in page
    assert "data-live" in page


def test_staff_stop_an_order_for_a_reason(staff, order, rentals):
    client = staff()
    assert reverse("admin:pool_order_stop", args=[order.pk]) in client.get(page_of(order)).text

    response = stop(client, order)
    carry_out_all()

    assert "Stopped." in response.text
    order.refresh_from_db()
    assert (order.state, order.stopped_by) == (OrderState.ABANDONED, "sam")
    assert rentals.bought == []
    assert "stopped: too many" in client.get(page_of(order)).text
    assert AuditEntry.objects.get(action="did").detail == "stop"
    assert "Nothing was done" in stop(client, order).text


def test_an_order_of_a_command_is_shown_and_cannot_be_stopped_here(staff, rentals):
    order = NumberOrder.objects.create(country="GB", count=2, features="SMS", pattern_place="anywhere")
    client = staff()

    page = client.get(page_of(order)).text

    assert "Run manage.py provision_numbers again" in page
    assert "data-live" not in page
    assert reverse("admin:pool_order_stop", args=[order.pk]) not in page
    assert "Nothing was done" in stop(client, order).text


def test_the_page_needs_a_right_and_an_order(staff, order):
    client = staff("view_virtualnumber")

    assert client.get(page_of(order)).status_code == 403
    assert stop(client, order).status_code == 403
    client.logout()
    assert client.get(page_of(order)).status_code == 302


def test_an_order_that_does_not_exist_is_not_found(staff, db):
    assert staff().get(reverse("admin:pool_order", args=[99])).status_code == 404


def test_the_pool_page_links_to_an_order_in_progress(staff, order):
    client = staff()

    assert page_of(order) in client.get("/admin/pool/").text
    carry_out_all()
    assert page_of(order) not in client.get("/admin/pool/").text


def test_the_page_takes_as_many_queries_for_many_numbers_as_for_two(staff, order, django_assert_num_queries):
    carry_out_all()
    client = staff()
    client.get(page_of(order))
    with django_assert_num_queries(8):
        client.get(page_of(order))
    VirtualNumber.objects.bulk_create(
        VirtualNumber(number=f"+4477009006{index:02}", country="GB", order=order) for index in range(50)
    )
    with django_assert_num_queries(8):
        client.get(page_of(order))
