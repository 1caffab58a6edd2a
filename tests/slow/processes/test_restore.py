"""A database is backed up, lost and restored. What was sent between the backup and the loss is not sent again."""

import subprocess
import sys
from collections import Counter

import psycopg
import pytest

from conversations.delivery import outbox
from conversations.models import OutboundMessage
from smsproxy.staff.audit import record_for
from smsproxy.staff.models import AuditAction
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.demo_process import ROOT
from tests.support.relay_process import Relays, url_of_the_test, wait_until
from tests.support.release_dump import empty_postgresql, rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

NEW_TEXT = """
from conversations.delivery import outbox
from conversations.models import Participant
outbox.queue_notice(Participant.objects.get(position=1), "after the restore")
"""
LEFT = "SELECT 1 FROM conversations_outboundmessage WHERE state IN ('queued', 'sending')"


def back_up(path):
    subprocess.run(["pg_dump", "--format=custom", f"--file={path}", url_of_the_test()], check=True)


def restore(path, url):
    subprocess.run(["pg_restore", "--no-owner", f"--dbname={url}", path], check=True)


def manage(relays, *command):
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=relays.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def send_all(relays, url):
    worker = relays.start()
    wait_until(lambda: not rows(url, LEFT))
    worker.terminate()
    assert worker.wait(60) == 0


def test_nothing_is_sent_twice_after_a_restore(tmp_path, stub):
    add_numbers(2)
    bob = members(talk(ALICE, BOB))[1]
    backup = tmp_path / "smsproxy.dump"
    with Relays(tmp_path, stub) as relays:
        outbox.queue_notice(bob, "before the backup")
        send_all(relays, url_of_the_test())
        for words in ("waiting 1", "waiting 2"):
            outbox.queue_notice(bob, words)
        back_up(backup)
        outbox.queue_notice(bob, "lost")
        send_all(relays, url_of_the_test())
    assert OutboundMessage.objects.filter(state="sent").count() == 4

    with empty_postgresql() as url, Relays(tmp_path, stub, DATABASE_URL=url) as relays:
        restore(backup, url)
        done = manage(relays, "after_restore", "--yes")
        assert "2 messages were waiting" in done.stdout, done.stderr
        assert manage(relays, "shell", "-v0", "-c", NEW_TEXT).returncode == 0
        send_all(relays, url)
        states = rows(url, "SELECT state, count(*) FROM conversations_outboundmessage GROUP BY state ORDER BY state")

    assert states == [("sent", 2), ("unknown", 2)]
    arrived = Counter(request["params"]["text"] for request in stub.requests)
    assert arrived == dict.fromkeys(["before the backup", "waiting 1", "waiting 2", "lost", "after the restore"], 1)


def test_the_audit_is_restored_and_stays_append_only(tmp_path):
    record_for("sam", AuditAction.DID, detail="close", people=[1, 2])
    back_up(tmp_path / "smsproxy.dump")

    with empty_postgresql() as url:
        restore(tmp_path / "smsproxy.dump", url)
        for change in ("DELETE FROM staff_auditedperson", "UPDATE staff_auditentry SET actor = 'nobody'"):
            with pytest.raises(psycopg.Error, match="append-only"), psycopg.connect(url) as connection:
                connection.execute(change)

        assert rows(url, "SELECT actor, detail FROM staff_auditentry") == [("sam", "close")]
        assert rows(url, "SELECT person_id FROM staff_auditedperson ORDER BY 1") == [(1,), (2,)]
