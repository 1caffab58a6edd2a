"""The phones page of the real demo in a real browser, and the answers of its addresses to bad input."""

import json
import re
from functools import partial

import pytest
from django.urls import reverse
from selenium.webdriver.common.by import By

from smsproxy.carriers.base import OutgoingText
from smsproxy.simulator.carrier import SimulatorCarrier
from smsproxy.simulator.models import Direction, SimulatedHandset, SimulatedNumber, SimulatedText
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.browser import chromium, until
from tests.support.builders import ALICE, BOB
from tests.support.pages import fits
from tests.support.phones_page import bubbles, open_two, phones, type_text

# In one process, so that one demo serves them all.
pytestmark = pytest.mark.xdist_group("phones")

OURS = "+447700900100"


# In the browser -------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(demo):
    with chromium() as browser:
        open_two(browser, demo)
        yield browser


def digits(html):
    return re.sub(r"[\s+-]", "", html)


@pytest.mark.slow
@pytest.mark.browser
def test_a_text_typed_on_one_phone_arrives_on_the_other_from_a_virtual_number(page):
    rider, driver = phones(page)
    type_text(rider, "Hi! I am at the north exit.")
    until(page, lambda: "Hi! I am at the north exit." in bubbles(driver, "arrived"))
    type_text(driver, "On my way.")
    until(page, lambda: "On my way." in bubbles(rider, "arrived"))
    assert "Hi! I am at the north exit." in bubbles(rider, "typed")
    for phone, others in ((rider, "7700900002"), (driver, "7700900001")):
        assert "a virtual number" in phone.text
        assert re.fullmatch(r"\+44 7700 90010\d", phone.find_element(By.CSS_SELECTOR, ".peer .number").text)
        assert others not in digits(phone.get_attribute("outerHTML"))
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.slow
@pytest.mark.browser
def test_a_phone_that_texts_stop_gets_the_answer_and_the_other_learns_only_that_it_receives_nothing(page):
    rider, driver = phones(page)
    type_text(driver, "Stop!")
    until(page, lambda: any("you will get no more messages" in each for each in bubbles(driver, "arrived")))
    until(page, lambda: any("is not receiving messages at the moment" in each for each in bubbles(rider, "arrived")))
    type_text(rider, "Are you there?")
    until(page, lambda: "Not passed on: somebody texted STOP" in rider.text)
    type_text(driver, "START")
    until(page, lambda: any("you get messages again" in each for each in bubbles(driver, "arrived")))
    type_text(rider, "Welcome back")
    until(page, lambda: "Welcome back" in bubbles(driver, "arrived"))
    assert "Are you there?" not in bubbles(driver, "arrived")
    assert "Stop!" not in bubbles(rider, "arrived")


@pytest.mark.slow
@pytest.mark.browser
def test_markup_in_a_text_is_shown_as_plain_text(page):
    rider, driver = phones(page)
    type_text(rider, "<b id=evil>&amp;</b><img src=x onerror=document.title='evil'>")
    until(page, lambda: any("<b id=evil>&amp;</b>" in each for each in bubbles(driver, "arrived")))
    assert page.find_elements(By.CSS_SELECTOR, "#evil, .log img") == []
    assert "evil" not in page.title


def arrives(page, text):
    return text in bubbles(phones(page)[1], "arrived")


@pytest.mark.slow
@pytest.mark.browser
def test_the_newest_text_is_in_view_on_a_narrow_screen(demo):
    with chromium(width=360, height=740, dark=True) as page:
        open_two(page, demo)
        for index in range(8):
            text = f"Text {index}"
            type_text(phones(page)[0], text)
            until(page, partial(arrives, page, text))
        hidden = "const log = arguments[0]; return log.scrollHeight - log.clientHeight - log.scrollTop"
        logs = page.find_elements(By.CSS_SELECTOR, ".log")
        assert all(page.execute_script(hidden, log) < 2 for log in logs)
        assert fits(page)


# Its addresses --------------------------------------------------------------------------------------------------------


@pytest.fixture
def handset(transactional_db):
    """Return Alice's phone, with a text from our number."""
    carrier = SimulatorCarrier()
    carrier.buy(OURS, "GB")
    carrier.configure(OURS, "GB", inbound_sms_url())
    carrier.send(OutgoingText(sender=OURS, recipient=ALICE, text="Hello", client_ref="ref-1"))
    return SimulatedHandset.objects.get()


def post(client, body):
    raw = body if isinstance(body, bytes) else json.dumps(body)
    return client.post(reverse("simulator-texts"), raw, content_type="application/json")


def typed():
    return [each.text for each in SimulatedText.objects.filter(direction=Direction.FROM_HANDSET)]


def test_the_page_without_phones_says_what_to_do(client, db):
    answer = client.get(reverse("phones"))
    assert "manage.py demo" in answer.text
    state = client.get(reverse("simulator-state")).json()
    assert (state["people"], state["phones"], state["conversation"], state["trips"]) == ([], [], None, [])
    assert "<script>" not in answer.text
    # A strict Content-Security-Policy forbids them.
    assert not re.search(r"<style|\sstyle=|\son\w+=", answer.text)
    assert not re.search(r"(src|href)=.?https?:", answer.text)


@pytest.mark.parametrize("text", ["Hello", "x" * 5000, "🚗 " * 1000, "مرحبا", "<b>"])
def test_a_valid_text_is_accepted(client, handset, text):
    assert post(client, {"handset": handset.pk, "number": OURS, "text": text}).status_code == 201
    assert typed() == [text]


@pytest.mark.parametrize(
    ("changes", "status", "where"),
    [
        ({"text": ""}, 400, "text"),
        ({"text": "  \n"}, 400, "text"),
        ({"text": "a\0b"}, 400, "text"),
        ({"text": "\ud800"}, 400, "text"),
        ({"text": "x" * 5001}, 400, "text"),
        ({"text": None}, 400, "text"),
        ({"text": 5}, 400, "text"),
        ({"handset": 10**30}, 404, "handset"),
        ({"handset": 0}, 404, "handset"),
        ({"handset": -1}, 404, "handset"),
        ({"handset": True}, 400, "handset"),
        ({"handset": "1"}, 400, "handset"),
        ({"handset": None}, 400, "handset"),
        ({"number": "+447700900101"}, 400, "number"),
        ({"number": "\0"}, 400, "number"),
        ({"number": "\ud800"}, 400, "number"),
        ({"number": [OURS]}, 400, "number"),
        ({"number": None}, 400, "number"),
    ],
)
def test_an_invalid_text_is_rejected_with_the_field_at_fault(client, handset, changes, status, where):
    answer = post(client, {"handset": handset.pk, "number": OURS, "text": "Hello"} | changes)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"].startswith(f"{where}: ")
    assert typed() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[]", 400),
        (b'"text"', 400),
        (b"null", 400),
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'"' + b"x" * 10_000_000 + b'"', 413),
    ],
)
def test_a_body_that_is_not_a_json_object_is_rejected(client, handset, body, status):
    answer = post(client, body)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"


def test_an_undeliverable_text_is_rejected_with_the_reason(client, handset):
    SimulatedNumber.objects.update(webhook_url="")
    answer = post(client, {"handset": handset.pk, "number": OURS, "text": "Hello"})
    assert answer.status_code == 409
    assert "configure_numbers" in answer.json()["detail"]


def test_other_sites_cannot_send_texts(handset):
    from django.test import Client

    answer = post(Client(enforce_csrf_checks=True), {"handset": handset.pk, "number": OURS, "text": "Hello"})
    assert answer.status_code == 403


@pytest.mark.parametrize("query", ["", "?phones=", "?phones=99", "?phones=x,%00,٣,1e9", "?phones=" + "9" * 400])
def test_an_invalid_choice_of_phones_shows_the_first(client, handset, query):
    state = client.get(reverse("simulator-state") + query).json()
    assert [phone["id"] for phone in state["phones"]] == [handset.pk]


def test_chosen_phones_show_no_number_of_another_phone(client, handset):
    carrier = SimulatorCarrier()
    for index, number in enumerate((BOB, "+447700900003")):
        carrier.send(OutgoingText(sender=OURS, recipient=number, text="Hello", client_ref=f"ref-{index}"))
    last = SimulatedHandset.objects.last()
    assert last is not None
    answer = client.get(reverse("simulator-state"), {"phones": f"{last.pk},{handset.pk}"})
    assert [phone["id"] for phone in answer.json()["phones"]] == [last.pk, handset.pk]
    assert len(answer.json()["people"]) == 3
    # Bob's phone is not shown: the page has only enough of his number to choose it.
    assert "7700900002" not in digits(answer.text)


def test_the_page_answers_a_head_request(client, db):
    assert client.head("/").status_code == 200
    assert client.post("/").status_code == 405
