"""Staff uncover a number or texts for some minutes, for a reason, and cover it again."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import reverse

from conversations.worker.periodic_jobs import purge_reveals
from numbers.models import RealNumber
from smsproxy.database.clock import database_now
from smsproxy.staff.models import AuditEntry, Reveal
from tests.support.builders import ALICE, BOB, add_numbers, talk

pytestmark = pytest.mark.django_db

WHY = {"reason": "ticket 4711"}


@pytest.fixture
def conversation():
    add_numbers(2)
    return talk(ALICE, BOB)


@pytest.fixture
def alice(conversation):
    return RealNumber.objects.with_number(ALICE).get()


def log_in(client, *permissions):
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return user


def address(row, kind="number", name="reveal"):
    return reverse(f"admin:{name}", args=[kind, row.pk])


def button(user, row, kind="number"):
    request = RequestFactory().get("/admin/somewhere/?page=2")
    request.user = user
    return Template("{% load staff %}{% reveal_button kind pk %}").render(
        Context({"request": request, "kind": kind, "pk": row.pk, "csrf_token": "x"})
    )


def test_a_number_is_shown_for_a_reason_and_recorded(client, alice):
    log_in(client, "view_realnumber", "reveal_realnumber")

    answer = client.post(address(alice), WHY)

    assert (answer.status_code, answer.url) == (302, reverse("admin:numbers_realnumber_change", args=[alice.pk]))
    [shown] = Reveal.objects.active()
    assert timedelta(minutes=14) < shown.until - database_now() <= timedelta(minutes=15)
    [entry] = AuditEntry.objects.all()
    assert (entry.actor, entry.action, entry.reason, entry.object_id) == (
        "sam",
        "revealed",
        "ticket 4711",
        str(alice.pk),
    )
    assert [each.person_id for each in entry.people.all()] == [alice.pk]


def test_a_reveal_of_texts_is_recorded_for_every_participant(client, conversation):
    log_in(client, "read_message_text")

    client.post(address(conversation, "texts"), WHY)

    people = AuditEntry.objects.get().people.values_list("person_id", flat=True)
    assert set(people) == set(conversation.participants.values_list("real_number_id", flat=True))


@pytest.mark.parametrize("reason", ["", "asked by +44 7700 900001"])
def test_nothing_is_shown_without_a_reason_in_words(client, alice, reason):
    log_in(client, "reveal_realnumber")

    answer = client.post(address(alice), {"reason": reason})

    assert answer.status_code == 200
    assert "errorlist" in answer.text
    assert not Reveal.objects.exists()
    assert not AuditEntry.objects.filter(action="revealed").exists()


def test_nothing_is_shown_without_the_right(client, alice, conversation):
    log_in(client, "view_realnumber", "view_conversation")

    answers = [client.post(address(alice), WHY), client.post(address(conversation, "texts"), WHY)]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert not Reveal.objects.exists()


@pytest.mark.parametrize("kind", ["number", "texts", "stranger_text", "unknown"])
def test_what_does_not_exist_is_not_found(admin_client, kind):
    assert admin_client.get(reverse("admin:reveal", args=[kind, 4711])).status_code == 404


def test_it_leads_back_to_the_page_that_asked(client, alice):
    log_in(client, "reveal_realnumber")

    assert client.post(f"{address(alice)}?next=/admin/plan/%3Fgrowth%3D1", WHY).url == "/admin/plan/?growth=1"


@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)"])
def test_it_never_leads_to_another_site(client, alice, target):
    log_in(client, "reveal_realnumber")

    for name in ("reveal", "hide"):
        assert client.post(f"{address(alice, name=name)}?next={target}", WHY).url.startswith("/admin/numbers/")


def test_what_is_hidden_is_covered_at_once(client, alice):
    log_in(client, "reveal_realnumber")
    client.post(address(alice), WHY)

    assert client.get(address(alice, name="hide")).status_code == 405
    client.post(address(alice, name="hide"))

    assert not Reveal.objects.exists()


def test_a_reveal_ends_by_itself_and_its_row_is_deleted(client, alice):
    log_in(client, "view_realnumber", "reveal_realnumber")
    client.post(address(alice), WHY)
    page = reverse("admin:numbers_realnumber_change", args=[alice.pk])
    assert ALICE in client.get(page).text
    assert purge_reveals() == 0

    Reveal.objects.update(until=database_now() - timedelta(seconds=1))

    assert ALICE not in client.get(page).text
    assert purge_reveals() == 1
    assert not Reveal.objects.exists()


def test_a_reveal_shows_nothing_to_anybody_else(client, admin_client, alice):
    log_in(client, "view_realnumber", "reveal_realnumber")
    admin_client.post(address(alice), WHY)

    assert ALICE not in client.get(reverse("admin:numbers_realnumber_change", args=[alice.pk])).text


def test_a_reveal_ends_with_the_right(client, alice):
    user = log_in(client, "view_realnumber", "reveal_realnumber")
    client.post(address(alice), WHY)

    user.user_permissions.remove(Permission.objects.get(codename="reveal_realnumber"))

    assert ALICE not in client.get(reverse("admin:numbers_realnumber_change", args=[alice.pk])).text


def test_the_button_shows_what_is_next(client, alice):
    user = log_in(client, "reveal_realnumber")
    assert f'href="{address(alice)}?next=/admin/somewhere/%3Fpage%3D2"' in button(user, alice)

    client.post(address(alice), WHY)

    shown = button(user, alice)
    assert "Shown to you for 15 more minutes." in shown
    assert f'action="{address(alice, name="hide")}?next=/admin/somewhere/%3Fpage%3D2"' in shown


def test_there_is_no_button_without_the_right(client, conversation):
    assert "href" not in button(log_in(client, "view_conversation"), conversation, "texts")
