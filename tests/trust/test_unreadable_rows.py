"""A row that no key decrypts is set aside and counted. Everything else goes on."""

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.db import connection
from django.test import Client
from django.urls import reverse

from conversations import clock_guard
from conversations.insight.troubles.kinds import Trouble
from conversations.lifecycle.replace_number import preview, replace
from conversations.models import InboundMessage, LongMessage, OutboundMessage, OutboundState, Participant, UnreadableRow
from conversations.worker import periodic_jobs
from conversations.worker.periodic_jobs import recheck_unreadable_rows, run_jobs
from numbers.models import RealNumber
from numbers.provisioning.purchase import participant_numbers
from smsproxy import unreadable
from smsproxy.crypto import Unreadable, UnreadableValue, encrypt, keyed_hash
from smsproxy.phone import mask
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.outbox import history, later, queue, state_of, work
from tests.support.signing import signed_inbound
from tests.support.troubles import active_troubles

LOST_KEY = "WJ4Z0bS8Bl4DwFdM3bW4e1xGzC3m2nTg7q0cXl7cT0k="
INBOUND = "/webhooks/vonage/inbound-sms"
CONVERSATIONS = "/api/v1/conversations/"
HOUR = 3600

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _pool(db, monkeypatch):
    add_numbers(6)
    monkeypatch.setattr(unreadable, "_met", set())


def lose_key_of(row, field):
    """Encrypt this field of the row under a key that we do not have. Return the token."""
    token = Fernet(LOST_KEY).encrypt(getattr(row, field).encode()).decode()
    table = row._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {field} = %s WHERE id = %s", [token, row.pk])
    return token


def stored(row, field):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {field} FROM {row._meta.db_table} WHERE id = %s", [row.pk])
        return cursor.fetchone()[0]


def person(number):
    return RealNumber.objects.with_number(number).get()


def text(sender, to, message_id, words="hello", **fields):
    params = signed_inbound(msisdn=sender[1:], to=to[1:], messageId=message_id, text=words, **fields)
    return Client().post(INBOUND, params, "application/json").status_code


def test_an_unreadable_value_is_shown_as_such_and_saved_unchanged():
    conversation = talk(ALICE, BOB)
    alice = person(ALICE)
    token = lose_key_of(alice, "number")

    alice.refresh_from_db()
    alice.save()

    assert str(alice) == f"{alice.number}" == "unreadable"
    assert alice.area == alice.region == ""
    assert mask(alice.number) == "•••"
    assert stored(alice, "number") == token
    assert str(conversation)


@pytest.mark.parametrize("use", [encrypt, keyed_hash, lambda value: value.encode("ascii")])
def test_an_unreadable_value_is_never_sent_encrypted_or_hashed_by_mistake(use):
    value = Unreadable("token")

    with pytest.raises(UnreadableValue, match="ENCRYPTION_KEYS"):
        use(value)


@pytest.mark.parametrize("lost", ["text", "number"])
def test_a_message_that_cannot_be_decrypted_fails_after_some_tries_and_others_are_sent(carrier, time_machine, lost):
    bob = members(talk(ALICE, BOB))[1]
    charlie = members(talk(BOB, CHARLIE))[1]
    [bad] = queue(bob, "lost")
    [good] = queue(charlie, "hello")
    lose_key_of(bob.real_number if lost == "number" else bad, lost)

    work()
    assert [sent.recipient for sent in carrier.sent] == [CHARLIE]
    assert state_of(good) == "sent"
    assert state_of(bad) == "queued"  # Another worker may have the key.
    for _ in range(14):
        later(time_machine, 301)
        work()

    assert history(bad)[-1] == "failed"
    assert "ENCRYPTION_KEYS" in bad.events.first().reason
    assert len(carrier.sent) == 1
    [later_one] = queue(bob, "and more")
    work()
    assert state_of(later_one) == ("queued" if lost == "number" else "sent")


def test_a_message_that_another_worker_can_decrypt_is_sent_by_it(carrier, time_machine, settings):
    bob = members(talk(ALICE, BOB))[1]
    [message] = queue(bob, "hello")
    lose_key_of(message, "text")
    work()

    settings.ENCRYPTION_KEYS = [*settings.ENCRYPTION_KEYS, LOST_KEY]
    later(time_machine, 301)
    work()

    assert [sent.text for sent in carrier.sent] == ["hello"]


def test_the_author_of_a_message_that_cannot_be_decrypted_is_notified(carrier, time_machine, settings):
    conversation = talk(ALICE, BOB)
    assert text(ALICE, proxies(conversation)[0], "in-1") == 200
    lose_key_of(OutboundMessage.objects.get(), "text")

    for _ in range(15):
        work()
        later(time_machine, 301)

    assert [sent.text for sent in carrier.sent] == [settings.UNDELIVERED_NOTICE]


def test_the_periodic_jobs_go_on(carrier, time_machine, settings):
    settings.TEXT_RETENTION_SECONDS = 10 * 24 * HOUR
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    talking = [talk(ALICE, BOB, ttl=HOUR), talk(ALICE, CHARLIE, idle_ttl=HOUR)]
    assert text(ALICE, proxies(talking[0])[0], "in-1") == 200
    [claimed, *_] = OutboundMessage.objects.all()
    claimed.transition(OutboundState.SENDING, reason="for this test", lease_until=claimed.due_at)
    for message in [*queue(members(talking[1])[1], "one", "two"), claimed]:
        lose_key_of(message, "text")
    lose_key_of(InboundMessage.objects.get(), "text")
    for someone in RealNumber.objects.all():
        lose_key_of(someone, "number")

    later(time_machine, 2 * HOUR)
    run_jobs()
    assert [state_of(each) for each in talking] == ["closed", "closed"]
    assert state_of(claimed) == "unknown"
    later(time_machine, 25 * HOUR)
    run_jobs()
    later(time_machine, 20 * 24 * HOUR)
    run_jobs()

    assert all(state_of(each) in ("failed", "unknown") for each in OutboundMessage.objects.exclude(dedup_key__gt=""))
    assert stored(InboundMessage.objects.get(), "text") == ""
    assert not any(each.conversation.participants.unreleased().exists() for each in members(talking[0]))


def test_no_job_fails_because_of_unreadable_rows(caplog):
    conversation = talk(ALICE, BOB)
    assert text(ALICE, proxies(conversation)[0], "in-1") == 200
    lose_key_of(OutboundMessage.objects.get(), "text")
    lose_key_of(person(ALICE), "number")

    run_jobs()

    assert "the periodic job" not in caplog.text


class TestLongMessages:
    @pytest.fixture
    def part(self):
        to = proxies(talk(ALICE, BOB))[0]

        def send(number, id, words="x" * 150, **fields):
            concat = {"concat": "true", "concat_ref": "7", "concat_part": str(number), "concat_total": "2"}
            return text(ALICE, to, id, words, **concat | fields)

        return send

    def lose_first_part(self, part):
        assert part(1, "in-1", "first ") == 200
        lose_key_of(InboundMessage.objects.get(), "text")

    def test_the_last_part_is_accepted_and_nothing_is_lost(self, part, settings, time_machine):
        self.lose_first_part(part)

        assert part(2, "in-2", "second") == 200
        assert OutboundMessage.objects.count() == 0
        settings.ENCRYPTION_KEYS = [*settings.ENCRYPTION_KEYS, LOST_KEY]
        later(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
        run_jobs()

        assert OutboundMessage.objects.get().text == "first second"

    def test_others_are_relayed_and_it_is_given_up_after_a_day(self, part, settings, time_machine):
        self.lose_first_part(part)
        other = proxies(talk(CHARLIE, BOB))[0]
        concat = {"concat": "true", "concat_ref": "9", "concat_part": "1", "concat_total": "2"}
        assert text(CHARLIE, other, "in-3", "half", **concat) == 200

        later(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
        run_jobs()

        assert [each.text for each in OutboundMessage.objects.all()] == ["half[...]"]
        later(time_machine, settings.MESSAGE_MAX_AGE_SECONDS)
        run_jobs()
        assert not LongMessage.objects.filter(closed_at=None).exists()

    def test_the_next_message_with_the_same_reference_is_relayed(self, part, settings):
        self.lose_first_part(part)

        assert part(1, "in-3", "new ") == 200
        assert part(2, "in-4", "one") == 200

        assert OutboundMessage.objects.get().text == "new one"

    def test_a_sender_who_cannot_be_decrypted_stops_no_webhook(self, part):
        assert part(1, "in-1") == 200
        lose_key_of(person(ALICE), "number")

        assert part(2, "in-2") == 200


def test_replacing_a_number_reports_who_cannot_be_moved_and_moves_the_others():
    first = talk(ALICE, BOB)
    number = members(first)[0].proxy_number
    charlie = members(talk(CHARLIE, BOB))[0]
    Participant.objects.filter(pk=charlie.pk).update(proxy_number=number)
    lose_key_of(person(ALICE), "number")

    assert preview(number).stuck == 1
    moved, other_moved = replace(number)

    assert (moved.participant.pk, moved.to) == (members(first)[0].pk, None)
    assert "ENCRYPTION_KEYS" in moved.why
    assert other_moved.to is not None
    assert UnreadableRow.objects.get().row_id == person(ALICE).pk


def test_the_api_answers_with_null_for_an_unreadable_number(api):
    conversation = talk(ALICE, BOB)
    lose_key_of(person(ALICE), "number")

    [listed] = api.get(CONVERSATIONS).json()["results"]
    one = api.get(f"{CONVERSATIONS}{conversation.public_id}/").json()
    closed = api.post(f"{CONVERSATIONS}{conversation.public_id}/close/", {})

    assert [each["number"] for each in listed["participants"]] == [None, BOB]
    assert one["participants"][0]["number"] is None
    assert closed.status_code == 200
    explained = api.get("/api/v1/routes/explain/", {"to": proxies(conversation)[0]}, headers={"From-Number": ALICE})
    assert explained.status_code == 200


def test_a_new_conversation_with_the_person_makes_their_number_readable_again(api):
    talk(ALICE, BOB)
    lose_key_of(person(ALICE), "number")
    body = {"participants": [{"number": ALICE}, {"number": CHARLIE}], "notify": False}

    tried = api.post(f"{CONVERSATIONS}dry-run/", body)
    assert tried.status_code == 200
    assert person(ALICE).number == "unreadable"
    made = api.post(CONVERSATIONS, body)

    assert made.status_code == 201
    assert made.json()["participants"][0]["number"] == ALICE
    assert person(ALICE).number == ALICE


def test_a_participant_who_cannot_be_decrypted_may_still_not_join_the_pool():
    talk(ALICE, BOB)
    lose_key_of(person(ALICE), "number")

    assert participant_numbers([ALICE, CHARLIE]) == {ALICE}


@pytest.mark.parametrize(
    "name",
    ["conversation", "participant", "inboundmessage", "outboundmessage", "longmessage", "realnumber", "unreadablerow"],
)
def test_the_pages_of_the_admin_show_unreadable_rows(admin_client, name):
    conversation = talk(ALICE, BOB)
    concat = {"concat": "true", "concat_ref": "7", "concat_part": "1", "concat_total": "2"}
    text(ALICE, proxies(conversation)[0], "in-1")
    text(ALICE, proxies(conversation)[0], "in-2", **concat)
    for row in [*InboundMessage.objects.all(), *OutboundMessage.objects.all()]:
        lose_key_of(row, "text")
    for row in RealNumber.objects.all():
        lose_key_of(row, "number")
    list(RealNumber.objects.all())
    UnreadableRow.objects.store_met()
    app = "numbers" if name == "realnumber" else "conversations"
    model = apps.get_model(app, name)

    assert admin_client.get(reverse(f"admin:{app}_{name}_changelist")).status_code == 200
    for row in model.objects.all():
        page = admin_client.get(reverse(f"admin:{app}_{name}_change", args=[row.pk]))
        assert page.status_code == 200
        if name in ("inboundmessage", "outboundmessage", "realnumber"):
            assert "unreadable" in page.content.decode()


class TestTrouble:
    def test_it_is_counted_until_a_key_decrypts_it(self, api, settings, caplog):
        talk(ALICE, BOB)
        alice = person(ALICE)
        lose_key_of(alice, "number")
        assert Trouble.UNREADABLE not in active_troubles()

        list(RealNumber.objects.all())
        run_jobs()
        run_jobs()

        assert "Rows that cannot be decrypted: 1." in active_troubles()[Trouble.UNREADABLE]
        assert f"such as row {alice.pk} of numbers_realnumber: add the key" in caplog.text
        metrics = api.get("/metrics").content.decode()
        assert "smsproxy_unreadable_rows 1.0" in metrics
        assert 'smsproxy_trouble{kind="unreadable",severity="critical"} 1.0' in metrics
        assert recheck_unreadable_rows() == 0
        settings.ENCRYPTION_KEYS = [*settings.ENCRYPTION_KEYS, LOST_KEY]
        assert recheck_unreadable_rows() == 1
        assert Trouble.UNREADABLE not in active_troubles()

    def test_a_row_that_is_gone_is_forgotten(self):
        UnreadableRow.objects.create(table="numbers_realnumber", row_id=12345)
        UnreadableRow.objects.create(table="a_table_of_an_older_version", row_id=1)

        assert recheck_unreadable_rows() == 2

    def test_a_message_that_a_worker_cannot_decrypt_is_counted(self, carrier):
        [bad] = queue(members(talk(ALICE, BOB))[1], "lost")
        lose_key_of(bad, "text")

        work()
        run_jobs()

        assert [(each.table, each.row_id) for each in UnreadableRow.objects.all()] == [
            ("conversations_outboundmessage", bad.pk)
        ]

    def test_what_a_page_meets_is_stored_with_the_next_check_of_the_clock(self, api):
        conversation = talk(ALICE, BOB)
        lose_key_of(person(ALICE), "number")

        api.get(f"{CONVERSATIONS}{conversation.public_id}/")
        assert not clock_guard.ClockGuard().is_wrong()

        assert UnreadableRow.objects.count() == 1

    def test_a_process_notes_a_bounded_number_of_rows(self, monkeypatch):
        monkeypatch.setattr(unreadable, "_MAX_MET", 2)
        for pk in range(5):
            unreadable.note_unreadable(RealNumber, pk)

        assert len(unreadable.take_unreadable_rows()) == 2
        assert unreadable.take_unreadable_rows() == []

    def test_a_recheck_is_part_of_the_periodic_jobs(self):
        names = [job.__name__ for job in periodic_jobs.JOBS]

        assert {"store_unreadable_rows", "recheck_unreadable_rows"} <= set(names)
