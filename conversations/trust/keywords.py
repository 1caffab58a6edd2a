"""Keywords: the words by which a person stops our messages, receives them again, or asks for help.

A message is a keyword if it is nothing but the word. Case, accents, punctuation and space around it do not matter:
"stop!" is one, "STOP 12345" and "please stop" are not.

A word is listed if the carriers or senders of a country print it in their messages as the word to text. Conversations
are full of one-word answers, so words of plain talk are left out, even where they mean "stop" or "help":
- French: arrête, fin, annuler, aide-moi. AIDE is listed: Canada's carriers require it, as they require ARRET.
- German: ende, aus, halt, schluss, stornieren, kündigen, Hilfe.
- Spanish: para, alto, basta, fin, salir, ayuda. BAJA is listed although it also means "come down": it is the word that
  Spanish senders print.
- Portuguese: pare, chega, fim, ajuda.
- Italian: ferma, basta, fine, esci, aiuto.
- Dutch: einde, klaar, genoeg, hulp.
- Polish: koniec, dość, nie, anuluj, pomoc.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final


class Keyword(StrEnum):
    STOP = "STOP"
    START = "START"
    HELP = "HELP"


_STOP_WORDS: Final[Mapping[str, str]] = {
    # The words that carriers of the United States require. END and CANCEL are among them.
    "English": "STOP, STOPALL, STOP ALL, UNSUBSCRIBE, CANCEL, END, QUIT, REVOKE, OPTOUT, OPT OUT",
    "French": "ARRET, ARRÊT, ARRETER, ARRÊTER, STOPPER, DÉSABONNER, DÉSABONNEMENT, DÉSINSCRIRE, DÉSINSCRIPTION",
    "German": "STOPP, STOPPEN, ABMELDEN, ABMELDUNG, ABBESTELLEN, AUSTRAGEN",
    "Spanish": "BAJA, DAR DE BAJA, DARME DE BAJA, PARAR, CANCELAR, DESUSCRIBIR, DESUSCRIBIRME",
    "Portuguese": "SAIR, PARAR, CANCELAR, DESCADASTRAR, DESINSCREVER",
    "Italian": "ANNULLA, DISATTIVA, CANCELLAMI, DISISCRIVI, DISISCRIVIMI, DISISCRIZIONE",
    "Dutch": "STOPPEN, AFMELDEN, UITSCHRIJVEN",
    "Polish": "WYPISZ, WYPISZ MNIE, WYPISUJĘ, REZYGNUJĘ, REZYGNACJA",
}
# They only mean something to a person who has opted out. From anybody else, they are ordinary texts.
_START_WORDS: Final = "START, UNSTOP, YES"
_HELP_WORDS: Final = "HELP, INFO, AIDE"

# They stand in a joined text for parts that never came. Its last words alone do not say what the person wants.
PLAIN_GAP: Final = "[...]"
UNICODE_GAP: Final = "[…]"

# Emoji that say the same as the word beside them. Any other emoji makes it a message, such as "stop 😂".
_SIGNS: Final = frozenset("🛑✋⛔🚫❌❗❕")
_NOT_OF_WORDS: Final = re.compile(r"[^\w\s]|_")
# A longer text is not read: it is a message. Emphasis such as "STOP!!!!!!!!!!" is shorter.
_MAX_CHARACTERS: Final = 80


def find_keyword(text: str, *, has_opted_out: bool) -> Keyword | None:
    """Return the keyword that the whole text is, or None. has_opted_out: whether its sender has opted out."""
    if len(text) > _MAX_CHARACTERS or PLAIN_GAP in text or UNICODE_GAP in text:
        return None
    keyword = _KEYWORDS.get(_normalise(text))
    return None if keyword == Keyword.START and not has_opted_out else keyword


def _normalise(text: str) -> str:
    """Return the text in lower case with single spaces, without accents, punctuation and invisible characters.

    Compatibility decomposition (NFKD) also turns full-width letters into plain ones.
    """
    plain = unicodedata.normalize("NFKD", text)
    if not all(map(_is_ignored, _NOT_OF_WORDS.findall(plain))):
        return ""
    # Marks go first: the case of U+0345, a mark, is a letter.
    return " ".join(_NOT_OF_WORDS.sub("", plain).casefold().replace("ł", "l").split())


def _is_ignored(character: str) -> bool:
    """Return whether this is a mark, punctuation, invisible, a modifier, a sign such as "<", or says "stop" itself."""
    category = unicodedata.category(character)
    return category[0] in "MPC" or category in ("Sk", "Sm") or character in _SIGNS


def _words(listed: str) -> Sequence[str]:
    return [_normalise(word) for word in listed.split(",")]


_KEYWORDS: Final[Mapping[str, Keyword]] = {
    **{word: Keyword.STOP for listed in _STOP_WORDS.values() for word in _words(listed)},
    **dict.fromkeys(_words(_START_WORDS), Keyword.START),
    **dict.fromkeys(_words(_HELP_WORDS), Keyword.HELP),
}
