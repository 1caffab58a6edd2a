"""The `sig` parameter of Vonage's webhooks: signing, and a strict verifier.

After "Signing messages" in Vonage's SMS API reference. The official SDK's verifier is not used: it raises TypeError for
some forged signatures, takes a missing timestamp for the present, has no age limit, and does not know the method that
is every account's default (`md5hash`).
"""

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping, Sequence

from smsproxy.carriers.base import BadSignature

# How far Vonage's clock may be ahead of ours, in seconds.
CLOCK_SKEW = 300

# Keys are signed unescaped: {"a": "1", "b": "2"} and {"a=1&b": "2"} have the same signature. So a captured webhook
# could be replayed with fields hidden in an odd key. Vonage's own keys are all of this form.
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_ESCAPES = str.maketrans("&=", "__")


def collect(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
    """The parameters of a form, a query string or (as its `object_pairs_hook`) a JSON body.

    Raises BadSignature for a repeated key: whoever reads the first and whoever reads the last would see different
    messages under one signature.
    """
    params: dict[str, str] = {}
    for key, value in pairs:
        if key in params:
            raise BadSignature("repeated_key")
        params[_key(key)] = _text(value)
    return params


def sign(params: Mapping[str, str], secret: str, method: str) -> str:
    """The signature, in lower-case hex. method: md5hash, or the HMAC md5, sha1, sha256 or sha512."""
    base = "".join(f"&{key}={params[key].translate(_ESCAPES)}" for key in sorted(params) if key != "sig")
    # JSON may hold half of a surrogate pair: wrong as text, but not a reason to fail.
    message, key = base.encode(errors="surrogatepass"), secret.encode(errors="surrogatepass")
    if method == "md5hash":
        return hashlib.md5(message + key, usedforsecurity=False).hexdigest()
    return hmac.digest(key, message, method).hex()


def verify(
    params: Mapping[str, object], *, secrets: Sequence[str], method: str, max_age: int, now: float | None = None
) -> None:
    """Raise BadSignature unless one of the secrets signed these parameters within the last max_age seconds.

    now: seconds since 1970, None for the present.
    """
    texts = {_key(key): _text(value) for key, value in params.items()}
    given, timestamp = texts.pop("sig", ""), texts.get("timestamp", "")
    if not given or not timestamp:
        raise BadSignature("missing")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise BadSignature("bad_timestamp")
    # Vonage writes upper-case hex. As bytes, because compare_digest raises for a str that is not ASCII.
    candidate = given.lower().encode(errors="surrogatepass")
    matches = [hmac.compare_digest(candidate, sign(texts, secret, method).encode()) for secret in secrets]
    if not any(matches):
        raise BadSignature("wrong")
    # The age comes last: only who knows the secret learns that it was all that was wrong.
    age = (time.time() if now is None else now) - int(timestamp)
    if age > max_age:
        raise BadSignature("too_old")
    if age < -CLOCK_SKEW:
        raise BadSignature("from_the_future")


def _key(key: object) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise BadSignature("bad_key")
    return key


def _text(value: object) -> str:
    """A value as it was signed. An int can only be written one way; a float, true or null in several."""
    if isinstance(value, str):
        return value
    # The bound keeps str() from refusing an int of thousands of digits.
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**20:
        return str(value)
    raise BadSignature("bad_value")
