"""The `sig` parameter of Vonage's webhooks: signing, and a strict verifier.

It follows "Signing messages" in Vonage's SMS API reference. The official SDK's verifier is not used. It raises
TypeError for some forged signatures, accepts a missing timestamp and has no age limit. It does not know `md5hash`, the
default method of every account.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping, Sequence

from smsproxy.carriers.base import STRAY, BadSignature

# Seconds that Vonage's clock may be ahead of ours.
CLOCK_SKEW = 300

# Keys are signed unescaped: {"a": "1", "b": "2"} and {"a=1&b": "2"} have the same signature. Without a strict form of
# keys, a captured webhook could be replayed with fields hidden in one key. Keys must have no "&" and no "=". Values are
# signed without both, so the signed text can be split in one way only, and "_" in a key is harmless.
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
# A weakness of Vonage's: "&", "=" and "_" in a value can be exchanged without the secret.
_ESCAPES = str.maketrans("&=", "__")
# Vonage's webhooks have one of them, signed or not: those of the SMS API, and those of the Messages API, to which an
# account may be set by mistake. What a scanner sends has neither.
_OF_VONAGE = {"api-key", "message_uuid"}


def collect(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Return the parameters of a form, a query string or (as its `object_pairs_hook`) a JSON body.

    Raise BadSignature for a repeated key: a reader of the first and a reader of the last value would see different
    messages under one signature.
    """
    params: dict[str, str] = {}
    for key, value in pairs:
        if key in params:
            raise BadSignature("repeated_key")
        params[_key(key)] = _text(value)
    return params


def sign(params: Mapping[str, str], secret: str, method: str) -> str:
    """Return the signature in lower-case hex. method: md5hash, or the HMAC md5, sha1, sha256 or sha512."""
    base = "".join(f"&{key}={params[key].translate(_ESCAPES)}" for key in sorted(params) if key != "sig")
    # JSON may hold half of a surrogate pair, which is not valid text but must not raise.
    message, key = base.encode(errors="surrogatepass"), secret.encode(errors="surrogatepass")
    if method == "md5hash":
        return hashlib.md5(message + key, usedforsecurity=False).hexdigest()
    return hmac.digest(key, message, method).hex()


def verify(
    params: Mapping[str, object], *, secrets: Sequence[str], method: str, max_age: int, now: float | None = None
) -> int:
    """Return which of the secrets signed these parameters within the last max_age seconds, 0 for the first.

    Raise BadSignature if none did. now: seconds since 1970, None for the current time.
    """
    texts = {_key(key): _text(value) for key, value in params.items()}
    given, timestamp = texts.pop("sig", ""), texts.get("timestamp", "")
    if not given or not timestamp:
        raise BadSignature("missing" if texts.keys() & _OF_VONAGE else STRAY)
    if not _TIMESTAMP.fullmatch(timestamp):
        raise BadSignature("bad_timestamp")
    # Vonage writes upper-case hex. compare_digest raises for a str that is not ASCII, hence bytes.
    candidate = given.lower().encode(errors="surrogatepass")
    matches = [hmac.compare_digest(candidate, sign(texts, secret, method).encode()) for secret in secrets]
    if not any(matches):
        raise BadSignature("wrong")
    # Checked last: only a caller who knows the secret may learn that the age was the only fault.
    age = (time.time() if now is None else now) - int(timestamp)
    if age > max_age:
        raise BadSignature("too_old")
    if age < -CLOCK_SKEW:
        raise BadSignature("from_the_future")
    return matches.index(True)


def _key(key: object) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise BadSignature("bad_key")
    return key


def _text(value: object) -> str:
    """Return a value as it was signed. Only strings and ints have one spelling. Raise BadSignature for all others."""
    if isinstance(value, str):
        return value
    # Without the bound, str() raises for an int of thousands of digits.
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**20:
        return str(value)
    raise BadSignature("bad_value")
