"""The two formats of a log line: what they say, and that no phone number is in any part of them."""

import json
import logging
import re
import sys

import pytest
from django.test import RequestFactory

from smsproxy.logs.fields import bound
from smsproxy.logs.formats import JsonFormatter, RedactingFormatter, process_name
from smsproxy.version import VERSION
from tests.support.builders import ALICE

REF = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FORMATS = {"text": RedactingFormatter(LINE), "json": JsonFormatter()}
both = pytest.mark.parametrize("style", FORMATS)


def record(message="done", *args, name="smsproxy.test", **extra):
    made = logging.getLogger(name).makeRecord(name, logging.INFO, "x", 1, message, args, None, extra=extra)
    made.created = 1_800_000_000.123
    return made


def write(style, *args, **extra):
    return FORMATS[style].format(record(*args, **extra))


def failing(error, cause=None):
    """Return a record with this exception, raised from another one."""
    made = record("failed")
    try:
        try:
            raise cause or KeyError("x")
        except Exception as first:
            raise error from first
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_a_json_line_has_these_members():
    assert json.loads(write("json", "sent %s", "it", message_ref=REF, inbound_id=7)) == {
        "time": "2027-01-15T08:00:00.123Z",
        "level": "INFO",
        "logger": "smsproxy.test",
        "message": "sent it",
        "inbound_id": 7,
        "message_ref": REF,
        "process": process_name(),
        "pid": record().process,
        "version": VERSION,
    }


def test_a_line_of_text_ends_with_its_fields():
    line = write("text", "sent", message_ref=REF, inbound_id=7, code="two words\nand a line")

    assert line == (
        f"2027-01-15T08:00:00.123Z INFO smsproxy.test: sent inbound_id=7 message_ref={REF} "
        r'code="two words\nand a line"'
    )


def test_a_traceback_is_one_json_string():
    line = FORMATS["json"].format(failing(ValueError("bad")))

    assert "\n" not in line
    assert re.match(r"Traceback .*\nKeyError: .*\nValueError: bad$", json.loads(line)["exception"], re.DOTALL)


@both
@pytest.mark.parametrize("number", [ALICE, ALICE[1:], "+44 7700 900001", "%2B447700900001", r"\u002b447700900001"])
def test_no_part_of_a_line_holds_a_number(style, number):
    lines = [
        write(style, "to %s", number),
        write(style, f"to {number}"),
        write(style, json.dumps({"to": number})),
        write(style, "%s", [number]),
        write(style, name=f"lib.{number}".replace(" ", "-")),
        write(style, code=number, message_ref=number, inbound_id=number, seconds=number),
        write(style, message_refs=[REF, number]),
        FORMATS[style].format(failing(ValueError("bad"), KeyError(number))),
        FORMATS[style].format(failing(ValueError(number))),
    ]
    cached = record()
    cached.exc_text = f"Traceback: {number}"  # By the formatter of another handler.
    stacked = record()
    stacked.stack_info = f"Stack: {number}"
    lines += [FORMATS[style].format(cached), FORMATS[style].format(stacked)]
    with bound(request_id=number):
        lines.append(write(style))

    joined = "\n".join(lines)
    assert "900001" not in joined
    assert joined.count("[number]") >= len(lines)


@both
def test_digits_of_other_scripts_are_masked_too(style):
    assert "[number]" in write(style, "to %s", "+٤٤٧٧٠٠٩٠٠٠٠١")


@both
def test_an_integer_that_looks_like_a_number_is_masked_unless_it_is_an_id_of_ours(style):
    line = write(style, inbound_id=447700900001, attempt=447700900002)

    assert "447700900001" in line
    assert "447700900002" not in line


@both
def test_what_libraries_attach_to_a_line_is_not_written(style):
    request = RequestFactory().get("/", {"text": "meet me at the old lighthouse"})

    line = write(style, "failed", request=request, sql="SELECT secret", params=["secret"])

    assert "lighthouse" not in line
    assert "secret" not in line


@both
def test_a_line_whose_arguments_do_not_fit_is_written_without_them(style):
    line = write(style, "sent %d to %s", ALICE)

    assert "sent %d to %s (its arguments do not fit: TypeError)" in line
    assert ALICE[1:] not in line


@both
def test_the_ids_of_a_message_survive_redaction(style):
    with bound(request_id=REF):
        line = write(style, message_refs=[REF, REF], carrier_message_id="0A0000000123ABCD1", inbound_id=12345678)

    assert line.count(REF) == 3
    assert "0A0000000123ABCD1" in line
    assert "12345678" in line
    assert "[number]" not in line


def test_a_block_gives_its_fields_to_lines_of_libraries_until_it_ends():
    with bound(message_ref=REF), bound(attempt=2):
        inside = json.loads(write("json", name="urllib3"))
    after = json.loads(write("json", name="urllib3"))

    assert (inside["message_ref"], inside["attempt"]) == (REF, 2)
    assert "message_ref" not in after
