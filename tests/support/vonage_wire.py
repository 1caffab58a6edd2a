"""Helpers for tests of carriers/vonage/: people, addresses, and checks that nothing private leaks."""

import json
import logging
import traceback
from base64 import b64encode
from functools import cache

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

from smsproxy.carriers.base import CarrierError, OutgoingText

ALICE = "+447700900001"
OURS = "+447700900100"
TEXT = "my door code is 4711 é"

SMS = "https://rest.nexmo.com/sms/json"
SEARCH = "https://rest.nexmo.com/number/search"
OWNED = "https://rest.nexmo.com/account/numbers"
BUY = "https://rest.nexmo.com/number/buy"
CANCEL = "https://rest.nexmo.com/number/cancel"
UPDATE = "https://rest.nexmo.com/number/update"
INSIGHT = "https://api.nexmo.com/ni/basic/json"
IDENTITY = "https://api.nexmo.com/identity-insights/v1/requests"


@cache
def private_key():
    """Return an application's private key, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def text(**changes):
    return OutgoingText(**{"sender": OURS, "recipient": ALICE, "text": TEXT, "client_ref": "relay-42", **changes})


def secrets():
    basic = b64encode(f"{settings.VONAGE_API_KEY}:{settings.VONAGE_API_SECRET}".encode()).decode()
    return [ALICE[1:], OURS[1:], "4711", "door", settings.VONAGE_API_SECRET, basic, *settings.VONAGE_SIGNATURE_SECRETS]


def assert_private(found, where):
    leaked = [secret for secret in secrets() if secret in found]
    assert not leaked, f"{leaked} in {where}: {found}"


def fails(kind, call):
    """Return the CarrierError that the call raises. Check its exact kind, and that no private data is attached."""
    with pytest.raises(CarrierError) as caught:
        call()
    error = caught.value
    assert type(error) is kind, repr(error)
    assert error.__cause__ is None
    link: BaseException | None = error
    while link is not None:
        assert isinstance(link, CarrierError), f"{link!r} is attached as __context__"
        assert_private(f"{link} {link!r} {link.args} {json.dumps(vars(link))}", "the error")
        link = link.__context__
    assert_private("".join(traceback.format_exception_only(error)), "the traceback")
    return error


def everything_logged(caplog):
    """Turn on DEBUG for all loggers, as for debugging."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("vonage", "vonage_number_insight", "vonage_identity_insights", "urllib3", "requests"):
            caplog.set_level(logging.DEBUG, logger=name)


def assert_logs_private(caplog):
    for record in caplog.records:
        assert_private(f"{record.getMessage()} {record.args} {record.exc_text}", f"the logger {record.name}")
