"""Encryption at rest, and the keyed hash by which an encrypted number is found.

Real numbers and texts are stored as Fernet tokens (AES-128-CBC with HMAC-SHA256). ENCRYPTION_KEYS[0] encrypts, all of
them decrypt. A look-up by number goes through `keyed_hash`, an HMAC under LOOKUP_KEY: without the key, the few billion
possible numbers cannot be tried against a stolen database.
"""

import hashlib
import hmac
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import models


def is_fernet_key(key: str) -> bool:
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
    # surrogatepass: whatever Python can hold as a string comes back as it was.
    return _fernet().encrypt(plain.encode("utf-8", "surrogatepass")).decode("ascii")


def decrypt(token: str) -> str:
    try:
        return _fernet().decrypt(token).decode("utf-8", "surrogatepass")
    except InvalidToken:
        raise ImproperlyConfigured(
            "ENCRYPTION_KEYS: none of the keys can decrypt a stored value. Put back the key it was written with, "
            "after the current one."
        ) from None


def keyed_hash(value: str) -> str:
    """64 hexadecimal digits, the same for the same value for as long as LOOKUP_KEY stays."""
    return hmac.digest(settings.LOOKUP_KEY.encode(), value.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


class EncryptedTextField(models.TextField):
    """Text that is encrypted in the database. It cannot be searched; "" is stored as it is."""

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(str(value)) if value else value

    def from_db_value(self, value: str | None, expression: object, connection: object) -> str | None:
        return decrypt(value) if value else value

    def get_lookup(self, lookup_name: str) -> Any:
        # A token is different each time, so a comparison would never match: refuse it rather than find nothing.
        if lookup_name in ("isnull",):
            return super().get_lookup(lookup_name)
        return None
