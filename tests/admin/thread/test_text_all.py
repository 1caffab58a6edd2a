"""Staff text everybody in a conversation as the service: with a preview, once, and refused in words."""

from datetime import timedelta

import pytest

from conversations.models import ApiMessage
from smsproxy.database.clock import database_now
from smsproxy.staff.models import AuditEntry
from tests.support.builders import members
from tests.support.message_api import thread
from tests.support.staff_members import signed_in
from tests.support.thread_acts import CHANGE, SEE, TEXT, WHY, do, page_of, url_of

pytestmark = pytest.mark.django_db


def test_a_text_to_everybody_is_shown_with_its_price_before_it_is_sent(sam, ride, settings):
    preview = sam.post(url_of(ride, "text"), {"reason": WHY, "text": "Your driver\r\nis here."})

    assert "They get it: <b>Alice, Bob</b>." in preview.text
    assert "Your driver<br>is here." in preview.text
    assert f"1 SMS for each person, about EUR {2 * settings.PRICE_ESTIMATE_EUR}" in preview.text
    assert not ApiMessage.objects.exists()

    changed = {"reason": WHY, "text": "Something else.", "previewed": preview.context["form"]["previewed"].value()}
    assert "Something else." in sam.post(url_of(ride, "text"), changed).text
    assert not ApiMessage.objects.exists()


def test_a_text_to_everybody_comes_from_the_service_and_names_its_author_to_staff_only(sam, ride, api):
    text = "Your driver is here."
    assert do(sam, ride, "text", text=text, previewed=text) == [
        ("success", "The text is on its way to the participants.")
    ]

    message = ApiMessage.objects.get()
    assert (message.text, message.created_by, message.written_by) == (text, None, "sam")
    assert [(leg.text, leg.state) for leg in message.legs.order_by("pk")] == [(text, "queued")] * 2
    assert "Service, by sam" in sam.get(page_of(ride)).text
    [shown] = thread(api, ride)
    assert (shown["kind"], shown["from"], shown["text"]) == ("api", None, text)
    assert "sam" not in str(shown)
    assert text not in str(list(AuditEntry.objects.values()))


def test_a_text_to_everybody_that_is_submitted_twice_is_sent_once(sam, ride):
    [(first, _)] = do(sam, ride, "text", text="Hi", previewed="Hi")
    [(second, why)] = do(sam, ride, "text", text="Hi", previewed="Hi")

    assert (first, second, ApiMessage.objects.count()) == ("success", "error", 1)
    assert "a moment ago" in why
    assert do(sam, ride, "text", text="Ho", previewed="Ho")[0][0] == "success"


def test_a_text_to_everybody_is_not_repeated_after_another_one_or_by_somebody_else(sam, ride):
    tina = signed_in(SEE, CHANGE, TEXT, name="tina")
    do(sam, ride, "text", text="Hi", previewed="Hi")
    do(sam, ride, "text", text="Ho", previewed="Ho")

    refused = [do(client, ride, "text", text="Hi", previewed="Hi")[0] for client in (sam, tina)]

    assert [level for level, _ in refused] == ["error", "error"]
    assert ApiMessage.objects.count() == 2


def test_a_text_to_everybody_can_be_repeated_after_some_minutes(sam, ride):
    do(sam, ride, "text", text="Hi", previewed="Hi")
    ApiMessage.objects.update(created_at=database_now() - timedelta(minutes=6))

    assert do(sam, ride, "text", text="Hi", previewed="Hi")[0][0] == "success"
    assert ApiMessage.objects.count() == 2


def test_a_text_that_nobody_can_get_is_refused_in_words(sam, ride):
    for each in members(ride):
        each.real_number.opt_out(reason="STOP")

    assert "everybody has opted out" in sam.get(url_of(ride, "text")).text
    assert do(sam, ride, "text", text="Hi", previewed="Hi") == [("error", "Nothing was sent: everybody has opted out.")]
    ride.close_permanently()
    [(level, text)] = do(sam, ride, "text", text="Hi", previewed="Hi")
    assert (level, "Reopen it first" in text) == ("error", True)
    assert not ApiMessage.objects.exists()


def test_a_text_that_is_too_long_is_refused_before_it_is_sent(sam, ride):
    page = sam.post(url_of(ride, "text"), {"reason": WHY, "text": "x" * 2000})

    assert "Shorten it." in page.text
