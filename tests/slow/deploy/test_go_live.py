"""A newcomer follows docs/go-live.md, with the simulated carrier and a real proxy with TLS."""

import re

from tests.support.documentation import doc
from tests.support.relay_process import wait_until
from tests.support.signing import signed_inbound

RIDER, DRIVER = "+447700900001", "+447700900002"
TEXT = "I left my hat in your car."


def test_every_command_of_the_page_is_run_here(site):
    before_an_upgrade = doc("go-live.md").read_text().partition("## Without these files")[0]
    named = set(re.findall(r"manage\.py (\w+)", before_an_upgrade))

    # The last two are for an account that rents numbers already.
    assert named == site.commands | {"sync_numbers", "configure_numbers"}


def test_a_service_cannot_change_the_program(site):
    tried = site.installation.start(
        ["touch", str(site.installation.folder / "manage.py")], site.directory / "touch.log"
    )

    assert tried.wait() != 0


def test_the_doctor_finds_nothing_that_failed(site):
    results = site.doctor()

    assert {name: found for name, found in results.items() if found["verdict"] == "failed"} == {}
    assert {name for name, found in results.items() if found["verdict"] == "warning"} == {"settings"}
    assert "CARRIER=simulator" in results["settings"]["detail"]
    assert {name for name, found in results.items() if found["verdict"] == "skipped"} == {"10DLC", "lookup"}


def test_a_text_reaches_the_other_phone(site):
    people = [{"number": RIDER, "label": "Rider"}, {"number": DRIVER, "label": "Driver"}]
    created = site.session.post(
        f"{site.url}/api/v1/conversations/",
        json={"participants": people},
        headers=site.authorization,
    )
    assert created.status_code == 201, created.text
    proxy_number = created.json()["participants"][0]["proxy_number"]

    webhook = signed_inbound(msisdn=RIDER[1:], to=proxy_number[1:], text=TEXT, messageId="first-text")
    answer = site.session.post(f"{site.url}/webhooks/vonage/inbound-sms", json=webhook)

    assert answer.status_code == 200
    wait_until(lambda: TEXT in texts_on_the_phone_of("Driver", site))
    assert TEXT not in texts_on_the_phone_of("Rider", site)


def texts_on_the_phone_of(name, site):
    phones = site.session.get(f"{site.url}/simulator/state").json()["phones"]
    number = {"Rider": RIDER, "Driver": DRIVER}[name]
    threads = [thread for phone in phones if phone["number"].replace(" ", "") == number for thread in phone["threads"]]
    return [text["text"] for thread in threads for text in thread["texts"]]
