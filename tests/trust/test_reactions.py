"""Reactions that phones write as texts: which texts are reactions, and what becomes of them."""

import pytest

from conversations.intake import fast_path
from conversations.intake.receive import receive
from conversations.models import InboundMessage, OutboundMessage
from conversations.trust.reactions import Reaction, read_reaction
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk

# (text, emoji, quoted message)
ADDED = [
    # iPhones, English
    ("Liked “See you at six”", "👍", "See you at six"),
    ("Loved “See you at six”", "❤️", "See you at six"),
    ("Disliked “No”", "👎", "No"),
    ("Laughed at “😂😂”", "😂", "😂😂"),
    ("Emphasized “Really”", "‼️", "Really"),
    ("Emphasised “Really”", "‼️", "Really"),
    ("Questioned “Is it you?”", "❓", "Is it you?"),
    ("Reacted 🎉 to “We won”", "🎉", "We won"),
    ("Reacted 👍🏽 to “We won…”", "👍🏽", "We won…"),
    ("Reacted ❤️‍🔥 to “We won”", "❤️‍🔥", "We won"),
    ("Reacted 1️⃣ to “Two or one?”", "1️⃣", "Two or one?"),
    ("Reacted with a sticker to “See you”", "🖼️", "See you"),
    ("Liked “Line one\nline two”", "👍", "Line one\nline two"),
    ("Liked “He said “no” to me”", "👍", "He said “no” to me"),
    (" Liked “See you” ", "👍", "See you"),
    # a network that has only straight quotation marks
    ('Liked "See you at six"', "👍", "See you at six"),
    ('Liked "He said "no" to me"', "👍", 'He said "no" to me'),
    ('Reacted 😂 to "I\'m late"', "😂", "I'm late"),
    # German
    ("„Bis morgen“ ein Herz hinzugefügt", "❤️", "Bis morgen"),
    ("Gefällt: „Bis morgen“", "👍", "Bis morgen"),
    ("Gefällt „Bis morgen“", "👍", "Bis morgen"),
    ("Gefällt nicht: „Bis morgen“", "👎", "Bis morgen"),
    ("„Bis morgen“ ein Lachen hinzugefügt", "😂", "Bis morgen"),
    ("„Bis morgen“ ein Ausrufezeichen hinzugefügt", "‼️", "Bis morgen"),
    ("„Bis morgen“ ein Fragezeichen hinzugefügt", "❓", "Bis morgen"),
    ("Hat mit 🔥 auf „Bis morgen“ reagiert", "🔥", "Bis morgen"),
    # French, with no-break spaces
    ("A ajouté un «\u00a0J’adore\u00a0» à «\u00a0À demain\u00a0»", "❤️", "À demain"),
    ("a ajouté un «\u202fJ’aime\u202f» à «\u202fÀ demain\u202f».", "👍", "À demain"),
    ("A ajouté un « Je n'aime pas » à « bof »", "👎", "bof"),
    ("A ajouté un rire à « À demain »", "😂", "À demain"),
    ("A ajouté des points d’exclamation à « À demain »", "‼️", "À demain"),
    ("A ajouté un point d’interrogation à « À demain »", "❓", "À demain"),
    ("a attribué la mention « Adore » à « ok »", "❤️", "ok"),
    ("A attribué la mention « 😂 » à « ok »", "😂", "ok"),
    ("A réagi avec 🔥 à « la photo »", "🔥", "la photo"),
    ("A réagi 😂 à « c'est calme ici... »", "😂", "c'est calme ici..."),
    # Spanish, of Spain and of Latin America
    ("Le gusta “Hasta mañana”", "👍", "Hasta mañana"),
    ("Le gustó “Hasta mañana”", "👍", "Hasta mañana"),
    ("Le encanta «Hasta mañana»", "❤️", "Hasta mañana"),
    ("Le encantó “Hasta mañana”", "❤️", "Hasta mañana"),
    ("No le gusta “Hasta mañana”", "👎", "Hasta mañana"),
    ("Le dio risa “Hasta mañana”", "😂", "Hasta mañana"),
    ("Exclamó por “Hasta mañana”", "‼️", "Hasta mañana"),
    ("Dudó sobre “Hasta mañana”", "❓", "Hasta mañana"),
    ("Reaccionó con 😂 a “Hasta mañana”", "😂", "Hasta mañana"),
    ("Se ha reaccionado con ☺️ a “Te amo”", "☺️", "Te amo"),
    # Italian and Dutch
    ("Ha aggiunto “Mi piace” a “A domani”", "👍", "A domani"),
    ("Vond “Tot morgen” leuk", "👍", "Tot morgen"),
    # Google Messages, in any language
    ("\u200aReacted \u200b😂\u200b to “\u200aSee you\u200a”\u200a", "😂", "See you"),
    ("\u200aA réagi avec \u200b😂\u200b à « \u200aÀ demain\u200a »\u200a", "😂", "À demain"),
    ("\u200a\u200b👍\u200b till “\u200aVi ses\u200a”\u200a", "👍", "Vi ses"),
    ("👍 to “See you”", "👍", "See you"),
]
REMOVED = [
    ("Removed a like from “See you”", "👍", "See you"),
    ("Removed a heart from “See you”", "❤️", "See you"),
    ("Removed a dislike from “See you”", "👎", "See you"),
    ("Removed a laugh from “See you”", "😂", "See you"),
    ("Removed an exclamation from “See you”", "‼️", "See you"),
    ("Removed a question mark from “See you”", "❓", "See you"),
    ("Removed 🎉 from “See you”", "🎉", "See you"),
    ("Herz von „Bis morgen“ entfernt", "❤️", "Bis morgen"),
    ("„Gefällt mir“ von „Bis morgen“ entfernt", "👍", "Bis morgen"),
    ("🔥 aus „Bis morgen“ entfernt", "🔥", "Bis morgen"),
    ("A retiré son « J’adore » de « À demain »", "❤️", "À demain"),
    ("A retiré la réaction 😂 à « c'est calme ici... »", "😂", "c'est calme ici..."),
    ("Ya no le gusta “Hasta mañana”", "👍", "Hasta mañana"),
    ("Ha eliminado 😂 de “Hasta mañana”.", "😂", "Hasta mañana"),
    ("\u200aRemoved \u200c👍\u200c from “\u200aSee you\u200a”\u200a", "👍", "See you"),
]
ORDINARY = [
    "",
    "👍",
    "Liked",
    "Liked it",
    "Liked it a lot, “really”",
    "Liked the movie “Dune”",
    "Liked “Dune”, and you?",
    "I liked “Dune”",
    "Liked “Dune” and “Alien”",
    'Liked "Dune" and "Alien"',
    "Liked “”",
    "Liked “Dune",
    "Liked 'Dune'",
    "Liked Dune”",
    "Liked an image",
    "Loved you",
    "Laughed at him",
    "Emphasized the point",
    "Questioned everything",
    "Removed a like",
    "Removed a chair from “Dune”",
    "Removed it from “Dune”",
    "Reacted well to “Dune”",
    "Reacted !! to “Dune”",
    "Meet me to “talk”",
    "Gefällt mir",
    "Gefällt mir: „Bis morgen“",
    "Mir gefällt „Bis morgen“",
    "„Bis morgen“ hat er gesagt",
    "Herz von Anna entfernt",
    "A aimé ça",
    "J'ai adoré « le film »",
    "A réagi vite à « x »",
    "a attribué la mention « Bravo » à « ok »",
    "Le gusta mucho",
    "Le gusta comer “tacos” y “burritos”",
    "“See you”",
    "\u200aSee you\u200a",
    "\u200a\u200a\u200a\u200a\u200a",
    "\u200aReacted \u200bfast\u200b to “\u200aSee you\u200a”\u200a",
    "STOP",
]


@pytest.mark.parametrize(("text", "emoji", "quoted"), ADDED)
def test_a_reaction_is_read(text, emoji, quoted):
    assert read_reaction(text) == Reaction(emoji, quoted, is_removed=False)


@pytest.mark.parametrize(("text", "emoji", "quoted"), REMOVED)
def test_a_reaction_that_is_taken_back_is_read(text, emoji, quoted):
    assert read_reaction(text) == Reaction(emoji, quoted, is_removed=True)


@pytest.mark.parametrize("text", ORDINARY)
def test_a_text_without_the_whole_form_is_no_reaction(text):
    assert read_reaction(text) is None


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("Liked “See you at six”", "[reaction] 👍 See you at six"),
        ("Removed a heart from “See you”", "[reaction removed] ❤️ See you"),
        (f"Loved “{'word ' * 50}”", f"[reaction] ❤️ {'word ' * 7}word…"),
        (f"Loved “{'x' * 40}”", f"[reaction] ❤️ {'x' * 40}"),
    ],
)
def test_a_marked_reaction_is_one_short_text(text, marked):
    assert read_reaction(text).marked == marked
    assert len(marked) <= 70  # one SMS with an emoji


@pytest.mark.parametrize(
    "text",
    [
        "“" * 100_000,
        '"' * 100_000,
        "Liked “" + "”" * 100_000 + "x",
        "\u200a" * 100_000,
        "\u200a" + "\u200b😂" * 50_000 + "\u200aa\u200a\u200a",
        "„Gefällt mir“ von " * 5_000,
        "„a“ ein Herz hinzugefügt" * 5_000,
    ],
)
def test_a_text_of_any_length_is_judged_at_once(text):
    read_reaction(text)


@pytest.fixture(
    params=["general path", pytest.param("fast path", marks=pytest.mark.postgres)],
)
def text_in(request, db, monkeypatch):
    """Return a function that takes in a text, on the path of the parameter."""
    is_fast = request.param == "fast path"
    monkeypatch.setattr(fast_path, "is_available", lambda: is_fast)
    written = []
    write = fast_path.write_relayed
    monkeypatch.setattr(fast_path, "write_relayed", lambda *args: written.append(args) or write(*args))

    def text_in(sender, to, words):
        number = InboundMessage.objects.count()
        receive(InboundText(carrier_message_id=f"in-{number}", sender=sender, recipient=to, text=words))
        message = InboundMessage.objects.get(carrier_message_id=f"in-{number}")
        assert bool(written) == (is_fast and message.outcome == "relayed")
        return message

    return text_in


LIKED = "Liked “See you at six”"


def test_a_reaction_is_relayed_unchanged_by_default(text_in, settings):
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    assert settings.REACTIONS == "pass"

    message = text_in(ALICE, to, LIKED)

    assert message.outcome == "relayed"
    assert OutboundMessage.objects.get().text == LIKED


def test_mark_relays_a_reaction_as_a_short_text(text_in, settings):
    settings.REACTIONS = "mark"
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    message = text_in(ALICE, to, LIKED)

    assert (message.outcome, message.text) == ("relayed", LIKED)
    relay = OutboundMessage.objects.get()
    assert (relay.text, relay.segments) == ("[reaction] 👍 See you at six", 1)


def test_mark_names_the_author_in_a_group(text_in, settings):
    settings.REACTIONS = "mark"
    add_numbers(3)
    to = proxies(talk(ALICE, BOB, CHARLIE))[0]

    text_in(ALICE, to, LIKED)

    assert {each.text for each in OutboundMessage.objects.all()} == {"Alice: [reaction] 👍 See you at six"}


def test_a_reaction_to_a_long_message_is_not_too_long_once_it_is_marked(text_in, settings):
    settings.REACTIONS, settings.MAX_SEGMENTS = "mark", 1
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    assert text_in(ALICE, to, f"Liked “{'word ' * 100}”").outcome == "relayed"


def test_drop_relays_no_reaction_and_sends_no_notice(text_in, settings):
    settings.REACTIONS = "drop"
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    message = text_in(ALICE, to, LIKED)

    assert (message.outcome, message.text) == ("reaction", LIKED)
    assert not OutboundMessage.objects.exists()


def test_a_dropped_reaction_to_an_ended_conversation_does_not_reopen_it(text_in, settings):
    settings.REACTIONS = "drop"
    add_numbers(2)
    conversation = talk(ALICE, BOB, late_messages="reopen")
    conversation.close()

    assert text_in(ALICE, proxies(conversation)[0], LIKED).outcome == "reaction"

    conversation.refresh_from_db()
    assert conversation.state == "closed"


def test_a_dropped_reaction_that_could_not_be_relayed_draws_no_notice(text_in, settings):
    settings.REACTIONS = "drop"
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    to = proxies(conversation)[0]
    conversation.close()

    assert text_in(ALICE, to, LIKED).outcome == "reaction"
    assert text_in(CHARLIE, to, LIKED).outcome == "reaction"
    assert not OutboundMessage.objects.exists()


def test_a_dropped_reaction_too_long_to_relay_draws_no_notice(text_in, settings):
    settings.REACTIONS, settings.MAX_SEGMENTS = "drop", 1
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    assert text_in(ALICE, to, f"Liked “{'word ' * 100}”").outcome == "reaction"
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize("choice", ["mark", "drop"])
@pytest.mark.parametrize("words", ["Liked it a lot", "Liked “Dune”, and you?", "Loved you"])
def test_an_ordinary_text_is_relayed_unchanged_whatever_the_setting(text_in, settings, choice, words):
    settings.REACTIONS = choice
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    assert text_in(ALICE, to, words).outcome == "relayed"
    assert OutboundMessage.objects.get().text == words
