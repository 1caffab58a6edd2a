import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsproxy.carriers.gsm7 import Encoding, Segments, is_gsm7, segments, split


@pytest.mark.parametrize(
    ("text", "encoding", "count", "units"),
    [
        ("", Encoding.GSM7, 1, 0),
        ("a" * 160, Encoding.GSM7, 1, 160),
        ("a" * 161, Encoding.GSM7, 2, 161),
        ("a" * 306, Encoding.GSM7, 2, 306),
        ("a" * 307, Encoding.GSM7, 3, 307),
        ("€" * 80, Encoding.GSM7, 1, 160),
        ("a" * 158 + "€", Encoding.GSM7, 1, 160),
        ("a" * 159 + "€", Encoding.GSM7, 2, 161),
        # A line feed is one septet, and a carriage return before it one more.
        ("\n" * 160, Encoding.GSM7, 1, 160),
        ("\r\n" * 80, Encoding.GSM7, 1, 160),
        ("\n" * 161, Encoding.GSM7, 2, 161),
        # 76 characters of the extension table fit into a part: a septet pair is not split between parts.
        ("€" * 81, Encoding.GSM7, 2, 162),
        ("€" * 152, Encoding.GSM7, 2, 304),
        ("€" * 153, Encoding.GSM7, 3, 306),
        ("ж" * 70, Encoding.UCS2, 1, 70),
        ("ж" * 71, Encoding.UCS2, 2, 71),
        ("ж" * 134, Encoding.UCS2, 2, 134),
        ("ж" * 135, Encoding.UCS2, 3, 135),
        ("😀" * 35, Encoding.UCS2, 1, 70),
        ("😀" * 36, Encoding.UCS2, 2, 72),
        ("😀" * 66, Encoding.UCS2, 2, 132),
        ("😀" * 67, Encoding.UCS2, 3, 134),
        # One character outside the table makes every character take twice the room.
        ("a" * 69 + "’", Encoding.UCS2, 1, 70),
        ("a" * 70 + "’", Encoding.UCS2, 2, 71),
    ],
)
def test_segments_are_counted_as_carriers_bill_them(text, encoding, count, units):
    assert segments(text) == Segments(encoding, count, units)


def test_an_escape_sequence_is_not_cut_in_two():
    # 153 + 153 septets would fill two parts, but the € at the border moves to the next part whole.
    assert segments("a" * 152 + "€" + "a" * 152).count == 3


def test_a_surrogate_pair_is_not_cut_in_two():
    assert segments("ж" * 66 + "😀" + "ж" * 66).count == 3


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("a" * 160, ["a" * 160]),
        ("a" * 161, ["a" * 153, "a" * 8]),
        ("a" * 152 + "€" + "a" * 152, ["a" * 152, "€" + "a" * 151, "a"]),
        ("ж" * 66 + "😀" + "ж" * 66, ["ж" * 66, "😀" + "ж" * 65, "ж"]),
    ],
)
def test_a_long_message_is_split_where_a_phone_splits_it(text, parts):
    assert split(text) == parts


def test_the_basic_table_has_127_characters_and_the_extension_ten():
    everything = [chr(code) for code in range(0x10000) if is_gsm7(chr(code))]

    assert len(everything) == 127 + 10
    assert sum(segments(character).units == 2 for character in everything) == 10


@pytest.mark.parametrize("character", ["ç", "á", "`", "’", "“", "😀", "\t", "\xa0", "\x1b"])
def test_characters_outside_gsm7_make_the_text_unicode(character):
    assert segments(f"hello{character}").encoding is Encoding.UCS2


@pytest.mark.parametrize("character", ["é", "Ç", "Ω", "€", "[", "}", "~", "\n", "@", "_", "¿"])
def test_accents_and_symbols_of_gsm7_need_no_unicode(character):
    assert is_gsm7(character)


def test_half_a_surrogate_pair_counts_as_one_unit():
    assert segments("\ud83d") == Segments(Encoding.UCS2, 1, 1)


@given(st.text(st.sampled_from("aé€[ж😀"), max_size=400))
def test_parts_hold_the_text_and_waste_at_most_one_unit_each(text):
    found = segments(text)

    alone, part = (160, 153) if found.encoding is Encoding.GSM7 else (70, 67)
    assert found.units <= (alone if found.count == 1 else found.count * part)
    # A part wastes one unit at most.
    assert found.count == 1 or found.units > (found.count - 1) * (part - 1)


@given(st.text(st.sampled_from("aé€[ж😀\n"), max_size=400))
def test_the_parts_join_to_the_text_and_each_fits_into_one_sms(text):
    parts = split(text)

    assert "".join(parts) == text
    assert len(parts) == segments(text).count
    assert all(segments(part).count == 1 for part in parts)


@given(st.text(max_size=200))
def test_ucs2_units_are_those_of_utf16(text):
    if not is_gsm7(text):
        assert segments(text).units == len(text.encode("utf-16-be", "surrogatepass")) // 2
