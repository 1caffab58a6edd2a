"""Each person gets our own texts as their marketplace has them, in the language of their conversation."""

import time

import pytest

from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.models import Conversation, OutboundMessage
from numbers.models import VirtualNumber
from smsproxy.carriers.base import Receipt, ReceiptStatus
from smsproxy.services import known
from smsproxy.services.models import Service, ServiceText
from smsproxy.text_kinds import TextKind
from tests.support.api_requests import asked_for
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, members, replace_number_of
from tests.support.services import proxies_of, texts_to, write

pytestmark = pytest.mark.django_db


def confirmation(market):
    market.talk(notify=True)


def ended(market):
    talked = market.talk()
    market.api.post(f"/api/v1/conversations/{talked['id']}/close/")
    write(ALICE, proxies_of(talked)[0])


def blocked(market):
    talked = market.talk()
    market.block(ALICE)
    write(ALICE, proxies_of(talked)[0])


def opted_out(market):
    talked = market.talk()
    write(BOB, proxies_of(talked)[1], "STOP")


def replaced(market):
    talked = market.talk()
    replace_number_of(members(Conversation.objects.get(public_id=talked["id"]))[0])


def too_long(market):
    write(ALICE, proxies_of(market.talk())[0], "x" * 5000)


def undelivered(market):
    write(ALICE, proxies_of(market.talk())[0])
    Relay().send_due()
    relay = OutboundMessage.objects.get(kind="relay")
    part = relay.parts.get().carrier_message_id
    receive_receipt(
        Receipt(carrier_message_id=part, client_ref=f"{relay.client_ref}.1", status=ReceiptStatus.UNDELIVERED)
    )


def limited(market):
    Service.objects.filter(pk=market.service.pk).update(messages_per_person_minute=1)
    known.forget_services()
    to = proxies_of(market.talk())[0]
    for _ in range(2):
        write(ALICE, to)


def keyword(word):
    def write_it(market):
        to = proxies_of(market.talk())[0]
        if word == "START":
            write(ALICE, to, "STOP")
        write(ALICE, to, word)

    return write_it


CAUSES = {
    TextKind.CONFIRMATION: (confirmation, "{label}", "Bob"),
    TextKind.ENDED: (ended, "", ""),
    TextKind.BLOCKED: (blocked, "", ""),
    TextKind.OPTED_OUT: (opted_out, "{label}", "Bob"),
    TextKind.REPLACED: (replaced, "{label}", "Bob"),
    TextKind.TOO_LONG: (too_long, "{segments} {most}", "33 6"),
    TextKind.UNDELIVERED: (undelivered, "", ""),
    TextKind.LIMITED: (limited, "", ""),
    TextKind.STOP_ANSWER: (keyword("STOP"), "{operator}", "This service"),
    TextKind.START_ANSWER: (keyword("START"), "{operator}", "This service"),
    TextKind.HELP_ANSWER: (keyword("HELP"), "{contact}", "its website or app"),
}


@pytest.mark.parametrize("kind", CAUSES)
def test_a_person_gets_every_text_of_ours_in_the_words_of_their_marketplace(rides, parcels, carrier, kind):
    cause, placeholders, filled = CAUSES[kind]
    rides.add_text(kind, f"Rides {placeholders}".strip())
    parcels.add_text(kind, f"Parcels {placeholders}".strip())

    cause(rides)

    assert f"Rides {filled}".strip() in texts_to(ALICE)
    assert not any("Parcels" in text for text in texts_to(ALICE))


@pytest.mark.parametrize("kind", CAUSES)
def test_a_text_that_is_empty_in_a_marketplace_is_never_sent_there(rides, carrier, settings, kind):
    setattr(settings, kind.setting, "The text of the settings")
    rides.add_text(kind, "")

    CAUSES[kind][0](rides)

    assert "The text of the settings" not in texts_to(ALICE)


@pytest.mark.parametrize("kind", CAUSES)
def test_without_a_text_of_its_own_a_marketplace_uses_the_settings(rides, carrier, settings, kind):
    setattr(settings, kind.setting, "The text of the settings")

    CAUSES[kind][0](rides)

    assert "The text of the settings" in texts_to(ALICE)


def test_every_kind_of_text_is_tested():
    assert {*CAUSES, TextKind.NO_ROUTE} == set(TextKind)


def test_who_writes_to_a_number_that_reaches_nobody_gets_the_text_of_the_default_service(rides):
    rides.add_text("no_route", "Rides does not know you")
    number = VirtualNumber.objects.first().number
    write(STRANGER, number)
    ServiceText.objects.create(service_id=1, kind="no_route", text="Nobody is here")

    write(CHARLIE, number)

    assert texts_to(STRANGER) == ["Nobody can be reached under this number."]
    assert texts_to(CHARLIE) == ["Nobody is here"]


@pytest.mark.parametrize(
    ("of_service", "asked", "text"),
    [
        ("", "pt-BR", "Encerrada no Brasil"),
        ("", "pt-PT", "Encerrada"),
        ("", "pt-Latn-BR", "Encerrada"),
        ("", "fr", "It is over"),
        ("", None, "It is over"),
        ("pt-BR", None, "Encerrada no Brasil"),
        ("pt-BR", "en", "It is over"),
        ("pt", "PT-br", "Encerrada no Brasil"),
    ],
)
def test_a_text_is_in_the_language_of_the_conversation_or_of_its_service(rides, of_service, asked, text):
    rides.service.language = of_service
    rides.service.save()
    rides.add_text("ended", "Encerrada no Brasil", "pt-BR")
    rides.add_text("ended", "Encerrada", "pt")
    rides.add_text("ended", "It is over")
    talked = rides.talk(**{"language": asked} if asked else {})
    Conversation.objects.get(public_id=talked["id"]).close()

    write(ALICE, proxies_of(talked)[0])

    assert texts_to(ALICE) == [text]


def test_a_conversation_may_have_texts_of_its_own(rides):
    rides.add_text("ended", "It is over")
    own = rides.talk(ALICE, BOB, texts={"ended": "This ride is over", "blocked": ""})
    other = rides.talk(CHARLIE, BOB)
    for talked in (own, other):
        Conversation.objects.get(public_id=talked["id"]).close()

    write(ALICE, proxies_of(own)[0])
    write(CHARLIE, proxies_of(other)[0])

    assert texts_to(ALICE) == ["This ride is over"]
    assert texts_to(CHARLIE) == ["It is over"]


def test_two_marketplaces_send_the_same_person_notices_in_two_languages(rides, parcels):
    for market, language, text in ((rides, "pt", "Encerrada"), (parcels, "fr", "C'est fini")):
        market.add_text("ended", text, language)
        talked = market.talk(language=language)
        Conversation.objects.get(public_id=talked["id"]).close()
        write(ALICE, proxies_of(talked)[0])

    assert texts_to(ALICE) == ["Encerrada", "C'est fini"]


def test_a_change_by_another_process_applies_within_some_seconds(rides, monkeypatch):
    rides.add_text("confirmation", "Hello")
    rides.talk(notify=True)
    ServiceText.objects.update(text="Good morning")  # As another process does it: nothing tells this one.
    rides.talk(ALICE, CHARLIE, notify=True)
    now = time.monotonic()
    monkeypatch.setattr(known.time, "monotonic", lambda: now + known.MAX_AGE_SECONDS)

    rides.talk(ALICE, STRANGER, notify=True)

    assert texts_to(ALICE) == ["Hello", "Hello", "Good morning"]


def test_a_service_without_texts_costs_no_query_for_a_notice_after_the_first(rides, django_assert_num_queries):
    known.known_service(rides.service.pk)

    with django_assert_num_queries(0):
        known.known_service(rides.service.pk)


def test_the_preview_of_a_replacement_counts_the_notices_in_the_words_of_each_marketplace(rides, parcels, run):
    parcels.add_text("replaced", "")
    number = proxies_of(rides.talk())[0]
    people = [{"number": CHARLIE, "proxy_number": number}, {"number": STRANGER}]
    assert parcels.api.post("/api/v1/conversations/", asked_for(*people)).status_code == 201

    _, output = run("replace_number", number, "--dry-run")

    assert "2 of 2 people would get another number" in output
    assert "1 notice, 1 SMS, would be sent" in output


def test_staff_write_the_texts_of_a_service_on_its_page(admin_client, rides):
    def save(**text):
        fields = {"name": "rides", "texts-TOTAL_FORMS": "1", "texts-INITIAL_FORMS": "0"}
        fields |= {f"texts-0-{name}": value for name, value in text.items()}
        return admin_client.post(f"/admin/services/service/{rides.service.pk}/change/", fields)

    refused = save(kind="ended", language="pt_BR", text="Olá {nome}")
    saved = save(kind="ended", language="pt-br", text="Acabou.\r\nAté logo")

    assert "Expected no braces, found &#x27;{nome}&#x27;" in refused.content.decode()
    assert saved.status_code == 302, saved.content.decode()
    text = ServiceText.objects.get()
    assert (text.language, text.text) == ("pt-BR", "Acabou.\nAté logo")
