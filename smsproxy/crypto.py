"""Encryption at rest, and the keyed hash that finds an encrypted number.

Real numbers and texts are stored as Fernet tokens (AES-128-CBC with HMAC-SHA256). ENCRYPTION_KEYS[0] encrypts, and
every key decrypts. Numbers are found by `number_hash`, an HMAC under NUMBER_HASH_KEY. Without it, nobody can test the
few billion possible numbers against a stolen database.
"""

import hashlib
import hmac
from functools import cache
from typing import Any, NoReturn, Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import models

from smsproxy.phone import canonical

HASH_LENGTH = 64


class UnreadableValue(ImproperlyConfigured):
    """None of our keys decrypts a stored value."""

    def __init__(self) -> None:
        super().__init__(
            "ENCRYPTION_KEYS: no key can decrypt a stored value. Add the key that encrypted it, after the current one."
        )


class Unreadable(str):
    """Stands for a stored value that none of our keys decrypts, so that one such row stops no query.

    It is shown as "unreadable", and saving it keeps the stored token. It cannot be encrypted, hashed or encoded.
    """

    token: str

    def __new__(cls, token: str) -> Self:
        marker = super().__new__(cls, "unreadable")
        marker.token = token
        return marker

    def encode(self, *args: object, **kwargs: object) -> NoReturn:
        raise UnreadableValue


def is_fernet_key(key: str) -> bool:
    """Return whether this is a valid Fernet key: 32 bytes in URL-safe base64."""
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


@cache
def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


setting_changed.connect(lambda **kwargs: _fernet.cache_clear(), weak=False)


def encrypt(plain: str) -> str:
    """Return the text as a Fernet token under the current key."""
    # surrogatepass: every Python string, lone surrogates included, is restored unchanged.
    return _fernet().encrypt(plain.encode("utf-8", "surrogatepass")).decode("ascii")


def decrypt(token: str) -> str:
    """Return the text of a Fernet token. Raises UnreadableValue if no key fits."""
    try:
        return _fernet().decrypt(token).decode("utf-8", "surrogatepass")
    except InvalidToken:
        raise UnreadableValue from None


def keyed_hash(value: str) -> str:
    """Return the HMAC-SHA256 of the value: 64 hexadecimal digits, stable while NUMBER_HASH_KEY is unchanged."""
    return hmac.digest(settings.NUMBER_HASH_KEY.encode(), value.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


def number_hash(number: str) -> str:
    """Return the keyed hash of a phone number, E.164: the same for all spellings of one phone."""
    return keyed_hash(canonical(number))


class NumberHashField(models.CharField):
    """The hash of the phone number in the field `number` of the row. It is filled when the row is inserted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": HASH_LENGTH, "editable": False, **options})

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if add:
            setattr(model_instance, self.attname, number_hash(model_instance.number))  # type: ignore[attr-defined]
        return super().pre_save(model_instance, add)


class EncryptedTextField(models.TextField):
    """Text that is encrypted in the database. It cannot be searched. An empty string is stored as it is.

    A value that no key decrypts is read as `Unreadable`.
    """

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, Unreadable):
            return value.token
        return encrypt(str(value)) if value else value

    def from_db_value(self, value: str | None, expression: object, connection: object) -> str | None:
        if not value:
            return value
        try:
            return decrypt(value)
        except UnreadableValue:
            return Unreadable(value)

    def get_lookup(self, lookup_name: str) -> Any:
        # Each token is different, so a comparison never matches: raise an error instead of finding nothing.
        if lookup_name in ("isnull",):
            return super().get_lookup(lookup_name)
        return None
