"""The second factor of staff: an authenticator app (TOTP), and ten recovery codes that work once each."""

import re
import secrets
import time
from base64 import b32encode
from binascii import unhexlify
from typing import Any

import django_otp
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without l, i, o, 0 and 1
_CODE_LENGTH = 10


class TooManyWrongCodes(Exception):
    """Codes are not looked at for a while. seconds: how long."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"wait {seconds} seconds")
        self.seconds = seconds


def device_of(user: Any) -> Any | None:
    """Return the authenticator of the user, or None if they have not set one up."""
    return TOTPDevice.objects.filter(user_id=user.pk, confirmed=True).order_by("-pk").first()


def new_key() -> str:
    """Return a random key of 160 bits, in hexadecimal."""
    return secrets.token_hex(20)


def readable_key(key: str) -> str:
    """Return the key as people type it into an app: Base32 in groups of four."""
    text = b32encode(unhexlify(key)).decode()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def config_url(user: Any, key: str) -> str:
    """Return the otpauth:// URL of the QR code."""
    return str(TOTPDevice(user=user, key=key).config_url)


def set_up(user: Any, key: str, code: str) -> list[str] | None:
    """Make the app with this key the second factor, if it shows this code. Return the recovery codes, or None.

    An earlier app and earlier recovery codes work no longer.
    """
    totp = TOTP(unhexlify(key))
    totp.time = time.time()
    if not re.fullmatch(r"[0-9]{6}", code, re.ASCII) or not totp.verify(int(code), tolerance=1):
        return None
    with transaction.atomic():
        get_user_model().objects.select_for_update().get(pk=user.pk)
        TOTPDevice.objects.filter(user=user).delete()
        # The same code does not sign in, too.
        TOTPDevice.objects.create(user=user, name="app", key=key, last_t=totp.t(), drift=totp.drift)
        return renew_codes(user)


def renew_codes(user: Any) -> list[str]:
    """Replace the recovery codes of the user. Return the new ones, of which only hashes are stored."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH)) for _ in range(CODES)]
    with transaction.atomic():
        # Asked for twice at once, the later set replaces the other.
        get_user_model().objects.select_for_update().get(pk=user.pk)
        StaticDevice.objects.filter(user=user).delete()
        device = StaticDevice.objects.create(user=user, name="recovery codes")
        StaticToken.objects.bulk_create(StaticToken(device=device, token=_hash(user, code)) for code in codes)
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def codes_left(user: Any) -> int:
    """Return how many recovery codes of the user are not used yet."""
    return int(StaticToken.objects.filter(device__user=user).count())


def remove(user: Any) -> bool:
    """Remove the second factor of the user. Return False if there was no second factor."""
    with transaction.atomic():
        StaticDevice.objects.filter(user=user).delete()
        removed, _ = TOTPDevice.objects.filter(user=user).delete()
    return bool(removed)


def check_app_code(user: Any, code: str) -> bool:
    """Return whether the app shows this code now, and it was not used. Raises TooManyWrongCodes."""
    return _verify(device_of(user), user, re.sub(r"\s", "", code))


def looks_like_recovery_code(code: str) -> bool:
    """Return whether the code has the form of a recovery code, which no code of an app has."""
    return len(_plain(code)) == _CODE_LENGTH and set(_plain(code)) <= set(_ALPHABET)


def use_recovery_code(user: Any, code: str) -> bool:
    """Return whether this is a recovery code of the user. It works only once. Raises TooManyWrongCodes."""
    device = StaticDevice.objects.filter(user_id=user.pk, confirmed=True).order_by("-pk").first()
    return _verify(device, user, _hash(user, _plain(code)))


def _plain(code: str) -> str:
    return re.sub(r"[\s-]", "", code).lower()


def _verify(device: Any | None, user: Any, token: str) -> bool:
    if device is None:
        return False
    is_allowed, why = device.verify_is_allowed()
    if not is_allowed:
        raise TooManyWrongCodes(max(1, round((why["locked_until"] - timezone.now()).total_seconds())))
    return django_otp.verify_token(user, device.persistent_id, token) is not None


def _hash(user: Any, code: str) -> str:
    """Return 80 bits: what fits into the column of a recovery code."""
    digest = salted_hmac("smsproxy.sign_in.recovery", f"{user.pk}:{code}", algorithm="sha256").digest()
    return b32encode(digest[:10]).decode()
