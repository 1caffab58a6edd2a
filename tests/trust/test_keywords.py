"""The words that stop our messages, and the words of plain talk that do not."""

import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conversations.trust.keywords import _KEYWORDS, Keyword, find_keyword

IN_TWO_WORDS = {"stop all", "opt out", "wypisz mnie"}


def keyword(text, *, has_opted_out=False):
    return find_keyword(text, has_opted_out=has_opted_out)


@pytest.mark.parametrize(
    "text",
    [
        *["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"],
        *["STOP ALL", "stop-all", "OPT OUT", "Opt-out", "opt  out"],
        # French, German, Spanish, Portuguese, Italian, Dutch, Polish.
        *["ARRET", "ARRÊT", "arrêter", "Désabonner", "DESABONNEMENT", "désinscription", "stopper"],
        *["STOPP", "abmelden", "Abbestellen", "austragen"],
        *["BAJA", "baja", "Parar", "CANCELAR", "dar de baja", "darme de baja"],
        *["SAIR", "sair", "PARAR", "cancelar", "descadastrar"],
        *["ANNULLA", "disattiva", "Cancellami", "DISISCRIVIMI"],
        *["AFMELDEN", "uitschrijven", "stoppen"],
        *["WYPISZ", "wypisz mnie", "REZYGNUJĘ", "rezygnuje", "Rezygnacja"],
    ],
)
def test_the_words_for_stop_in_eight_languages_are_keywords(text):
    assert keyword(text) == Keyword.STOP


@pytest.mark.parametrize(
    "text",
    [
        *[
            "stop!",
            "Stop.",
            "STOP!!!!!!!!!!!!!!!!",
            "...stop",
            "stop…",
            "(stop)",
            "<STOP>",
            "*stop*",
            "_stop_",
            "~stop~",
        ],
        *["“STOP”", "„stop“", "«stop»", "‘stop’", '"stop"', "'stop'", "`stop`", "¡Stop!", "stop?", "s.t.o.p."],
        *["  stop  ", "\tSTOP\r\n", "\nstop", "\u00a0stop\u00a0", "\u3000stop"],
        # Full-width, mathematical and circled letters; a combining accent; letters of a keyboard for Turkish.
        *["ＳＴＯＰ", "ｓｔｏｐ！", "𝐒𝐓𝐎𝐏", "ⓢⓣⓞⓟ", "ARRE\u0302T", "arre\u0302t", "stóp"],
        # Zero-width space, joiners, byte order mark, soft hyphen, direction marks, a control character.
        *["s\u200btop", "sto\u200dp", "\ufeffSTOP", "st\u00adop", "\u202astop\u202c", "stop\x00"],
        # Emoji that say the same, with a variation selector, and with a colour of skin.
        *["stop \U0001f6d1", "STOP❗️", "✋ stop", "stop ✋🏽", "⛔️ STOP ⛔️", "stop\ufe0f"],
    ],
)
def test_case_accents_punctuation_and_invisible_characters_do_not_matter(text):
    assert keyword(text) == Keyword.STOP


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "!", "\u200b", "\U0001f6d1", "✋"],
        *[
            "STOP 12345",
            "stop2",
            "2stop",
            "stop ²",
            "STOP STOP",
            "s t o p",
            "stop it",
            "please stop",
            "don't stop",
            "stopp it",
        ],
        *[
            "stop here",
            "stop by at 5",
            "STOP,PLEASE",
            "non-stop",
            "stops",
            "stopped",
            "bus stop",
            "the end",
            "end of the road",
        ],
        *["cancel it", "cancelled", "weekend", "all stop", "out opt", "quite", "stop\nthe car"],
        # An emoji that makes it a message.
        *["stop 😂", "stop ❤️", "end 🎉"],
        # Plain talk, in languages whose words for STOP are keywords.
        *["fin", "arrête", "annuler", "ende", "aus", "halt", "para", "alto", "basta", "pare", "chega", "ferma", "fine"],
        *["einde", "klaar", "koniec", "nie", "no", "nein", "non", "nee", "não"],
        *["hilfe", "ayuda", "ajuda", "aiuto", "hulp", "pomoc", "help me", "info please", "more info"],
        "stop" + "!" * 100,
        "stop " * 1000,
    ],
)
def test_a_text_that_says_anything_more_is_a_message(text):
    assert keyword(text) is None
    assert keyword(text, has_opted_out=True) is None


@pytest.mark.parametrize("text", ["START", "start!", "Unstop", "YES", "yes."])
def test_start_is_a_keyword_only_of_a_person_who_has_opted_out(text):
    assert keyword(text, has_opted_out=True) == Keyword.START
    assert keyword(text) is None


@pytest.mark.parametrize("text", ["HELP", "help?", "Info", "AIDE"])
@pytest.mark.parametrize("has_opted_out", [True, False])
def test_help_is_always_a_keyword(text, has_opted_out):
    assert keyword(text, has_opted_out=has_opted_out) == Keyword.HELP


@given(st.text(max_size=60), st.sampled_from([*string.digits, "²", "٣", "５", "①"]), st.integers(0, 60), st.booleans())
def test_no_text_with_a_digit_is_a_keyword(text, digit, place, has_opted_out):
    assert keyword(text[:place] + digit + text[place:], has_opted_out=has_opted_out) is None


@given(st.sampled_from(sorted(_KEYWORDS)), st.text("abcdefghijklmnopqrstuvwxyzäßł", min_size=1), st.booleans())
def test_no_keyword_with_a_further_word_is_one(word, other, comes_first):
    text = f"{other} {word}" if comes_first else f"{word} {other}"

    assert (keyword(text, has_opted_out=True) is None) == (text not in _KEYWORDS)
    assert text not in _KEYWORDS or text in IN_TWO_WORDS


# Not the mark of a missing part.
_IGNORED = st.text(
    st.characters(categories=["Po", "Ps", "Pe", "Pi", "Pf", "Pd", "Cf", "Mn", "Zs"]), max_size=15
).filter(lambda text: "[...]" not in text and "[…]" not in text)


@given(st.sampled_from(sorted(_KEYWORDS)), _IGNORED, _IGNORED)
@example("stop", "", "\u0345")  # the case of this mark is a letter
def test_any_punctuation_and_space_around_a_keyword_leaves_it_one(word, before, after):
    for text in (before + word.upper() + after, before + word.title() + after):
        assert keyword(text, has_opted_out=True) == _KEYWORDS[word]


@given(st.text(max_size=100), st.booleans())
def test_any_text_is_read_without_an_error_and_like_its_other_unicode_forms(text, has_opted_out):
    found = keyword(text, has_opted_out=has_opted_out)

    if len(unicodedata.normalize("NFKD", text)) <= 80:
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            assert keyword(unicodedata.normalize(form, text), has_opted_out=has_opted_out) == found
