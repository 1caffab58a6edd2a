"""Reactions: texts that a phone writes by itself when its owner reacts to a message, such as “Liked “See you at six””.

iPhones write a sentence in the language of their owner. Google Messages writes one with invisible marks. Both quote the
message, sometimes only its beginning. A text that has the whole of such a form is a reaction; any other is not.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

MARK = "[reaction]"
REMOVED_MARK = "[reaction removed]"
MAX_QUOTED = 40  # characters of the quoted message that a marked reaction repeats

# The sentences of iPhones: English, German, French, Spanish (of Spain, then of Latin America), Italian, Dutch.
# "{}" is the quoted message, and '"' any quotation mark. First those that add a reaction, then those that remove it.
_SENTENCES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "❤️": (
        (
            "Loved {}",
            "{} ein Herz hinzugefügt",
            'A ajouté un "J\'adore" à {}',
            'A attribué la mention "Adore" à {}',
            "A adoré {}",
            "Le encanta {}",
            "Le encantó {}",
            "Ha aggiunto un cuoricino a {}",
            "Gaf een hartje aan {}",
        ),
        (
            "Removed a heart from {}",
            "Herz von {} entfernt",
            'A retiré son "J\'adore" de {}',
            'A retiré la mention "Adore" de {}',
            "Ya no le encanta {}",
            "Ha rimosso il cuoricino da {}",
            "Verwijderde een hartje van {}",
        ),
    ),
    "👍": (
        (
            "Liked {}",
            "Gefällt: {}",
            "Gefällt {}",
            'A ajouté un "J\'aime" à {}',
            'A attribué la mention "J\'aime" à {}',
            "A aimé {}",
            "Le gusta {}",
            "Le gustó {}",
            'Ha aggiunto "Mi piace" a {}',
            "Vond {} leuk",
        ),
        (
            "Removed a like from {}",
            '"Gefällt mir" von {} entfernt',
            'A retiré son "J\'aime" de {}',
            'A retiré la mention "J\'aime" de {}',
            "Ya no le gusta {}",
            'Ha rimosso "Mi piace" da {}',
            "Verwijderde een duim omhoog van {}",
        ),
    ),
    "👎": (
        (
            "Disliked {}",
            "Gefällt nicht: {}",
            "Gefällt {} nicht",
            'A ajouté un "Je n\'aime pas" à {}',
            'A attribué la mention "Je n\'aime pas" à {}',
            "N'a pas aimé {}",
            "No le gusta {}",
            "No le gustó {}",
            'Ha aggiunto "Non mi piace" a {}',
            "Vond {} niet leuk",
        ),
        (
            "Removed a dislike from {}",
            '"Gefällt mir nicht" von {} entfernt',
            'A retiré son "Je n\'aime pas" de {}',
            'A retiré la mention "Je n\'aime pas" de {}',
            "Ya no le disgusta {}",
            'Ha rimosso "Non mi piace" da {}',
            "Verwijderde een duim omlaag van {}",
        ),
    ),
    "😂": (
        (
            "Laughed at {}",
            "{} ein Lachen hinzugefügt",
            "A ajouté un rire à {}",
            "A ri de {}",
            "Le hace gracia {}",
            "Le dio risa {}",
            "Trova divertente {}",
            "Lachte om {}",
        ),
        (
            "Removed a laugh from {}",
            "Lachen von {} entfernt",
            "A retiré son rire de {}",
            "Ya no le hace gracia {}",
            "Non trova più divertente {}",
            "Verwijderde een lach van {}",
        ),
    ),
    "‼️": (
        (
            "Emphasized {}",
            "Emphasised {}",
            "{} ein Ausrufezeichen hinzugefügt",
            "A ajouté des points d'exclamation à {}",
            "Le sorprende {}",
            "Exclamó por {}",
            "Ha aggiunto i punti esclamativi a {}",
            "Benadrukte {}",
        ),
        (
            "Removed an exclamation from {}",
            "Ausrufezeichen von {} entfernt",
            "A retiré ses points d'exclamation de {}",
            "Ya no le sorprende {}",
            "Ha rimosso i punti esclamativi da {}",
            "Verwijderde een uitroepteken van {}",
        ),
    ),
    "❓": (
        (
            "Questioned {}",
            "{} ein Fragezeichen hinzugefügt",
            "A ajouté un point d'interrogation à {}",
            "Duda sobre {}",
            "Dudó sobre {}",
            "Ha aggiunto il punto interrogativo a {}",
            "Zette een vraagteken bij {}",
        ),
        (
            "Removed a question mark from {}",
            "Fragezeichen von {} entfernt",
            "A retiré son point d'interrogation de {}",
            "Ya no duda sobre {}",
            "Ha rimosso il punto interrogativo da {}",
            "Verwijderde een vraagteken van {}",
        ),
    ),
    "🖼️": (("Reacted with a sticker to {}",), ()),
    # Any emoji, in the place of "*". Google Messages writes some of these too.
    "": (
        (
            "Reacted * to {}",
            "* to {}",
            "Hat mit * auf {} reagiert",
            "A réagi avec * à {}",
            "A réagi * à {}",
            'A attribué la mention "*" à {}',
            "Se ha reaccionado con * a {}",
            "Reaccionó con * a {}",
            "Ha reagito con * a {}",
            "Reageerde met * op {}",
        ),
        (
            "Removed * from {}",
            "* aus {} entfernt",
            "A retiré * de {}",
            "A retiré la réaction * à {}",
            'A retiré la mention "*" de {}',
            "Ha eliminado * de {}",
            "Ha rimosso * da {}",
            "Verwijderde * uit {}",
        ),
    ),
}

# Opening quotation marks, each with those that close it. Some networks replace all of them with straight ones.
_CLOSING = {"“": "”", "„": '“”"', "«": "»", "»": "«", '"': '"'}
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u2009\u200a\u202f", " ") | dict.fromkeys("\u200b\u200c\u2060", ""))
_KEYCAP = re.compile("[0-9#*]\ufe0f?\u20e3")

# Google Messages puts these around the text and its parts, and one of the two around the emoji: added, removed.
_HAIR_SPACE = "\u200a"
_EMOJI_MARKS = {"\u200b": False, "\u200c": True}


class Reaction(NamedTuple):
    """A reaction: its emoji, the message that it quotes, and whether it takes an earlier reaction back."""

    emoji: str
    quoted: str
    is_removed: bool

    @property
    def marked(self) -> str:
        """The reaction as a short text in no particular language, such as "[reaction] 👍 See you at six"."""
        quoted = self.quoted if len(self.quoted) <= MAX_QUOTED else f"{self.quoted[:MAX_QUOTED].rstrip()}…"
        return f"{REMOVED_MARK if self.is_removed else MARK} {self.emoji} {quoted}"


def read_reaction(text: str) -> Reaction | None:
    """Return the reaction that this text is, or None."""
    return _read_google(text) or _read_sentence(text)


def _read_google(text: str) -> Reaction | None:
    """Read the form of Google Messages by its marks. Its words are in the language of the phone's owner."""
    parts = text.split(_HAIR_SPACE)
    if len(parts) < 5 or parts[0] or parts[-1].strip():
        return None
    _, words, *quoted, _, _ = parts
    for mark, is_removed in _EMOJI_MARKS.items():
        around = words.split(mark)
        if len(around) == 3 and _is_emoji(around[1]):
            return Reaction(around[1], _HAIR_SPACE.join(quoted).strip(), is_removed)
    return None


def _read_sentence(text: str) -> Reaction | None:
    plain = text.translate(_SPACES).replace("’", "'").strip()
    if not any(mark in plain for mark in _CLOSING):
        return None
    for pattern, usual_emoji, is_removed in _PATTERNS:
        found = pattern.fullmatch(plain)
        if found and _is_one_quotation(found["quoted"]):
            emoji = usual_emoji or found["emoji"]
            if _is_emoji(emoji):
                return Reaction(emoji, found["quoted"][1:-1].strip(), is_removed)
    return None


def _is_emoji(text: str) -> bool:
    if _KEYCAP.fullmatch(text):
        return True
    return any(char >= "‼" for char in text) and not any(char.isalnum() or char.isspace() for char in text)


def _is_one_quotation(text: str) -> bool:
    """Return whether the last quotation mark closes the first one, as in “a “b” c”, and not as in “a” and “b”."""
    opening, closing = text[0], _CLOSING[text[0]]
    depth = 0
    for place, char in enumerate(text):
        # A straight mark opens a quotation before a word, and closes one after it.
        if char == opening and (opening != '"' or place == 0 or text[place - 1] in " \n("):
            depth += 1
        elif char in closing:
            depth -= 1
        if depth == 0:
            return place == len(text) - 1
    return False


def _pattern(sentence: str) -> re.Pattern[str]:
    pattern = re.escape(sentence).replace('"', ' ?["“”„«»] ?').replace(r"\*", r"(?P<emoji>\S{1,30})")
    pattern = pattern.replace(r"\{\}", '(?P<quoted>[“„«»"].+[”“»«"])')
    return re.compile(rf"{pattern}\.?", re.DOTALL | re.IGNORECASE)


_PATTERNS = [
    (_pattern(sentence), emoji, is_removed)
    for emoji, (added, removed) in _SENTENCES.items()
    for is_removed, sentences in ((False, added), (True, removed))
    for sentence in sentences
]
