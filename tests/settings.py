"""The product's settings under a complete environment that is independent of the machine and of .env."""

import os
import tempfile
from pathlib import Path

_here = Path(__file__).resolve().parent
_databases = Path(tempfile.gettempdir()) / f"smsproxy-tests-{os.getpid()}"

for _name in list(os.environ):
    if _name.startswith("VONAGE_"):
        del os.environ[_name]
os.environ.update(
    ENV_FILE=str(_here / "no-such-file.env"),
    SECRET_KEY="a secret key for tests only, which protects nothing at all",
    DEBUG="false",
    ALLOWED_HOSTS="localhost,127.0.0.1,testserver,sms.example.com",
    PUBLIC_URL="https://sms.example.com",
    # TEST_DATABASE_URL runs the suite on PostgreSQL. A file, not memory: threads and processes share it.
    DATABASE_URL=os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{_databases}.sqlite3",
    CARRIER=os.environ.get("CARRIER_FOR_TESTS", "simulator"),
    VONAGE_REST_HOST=os.environ.get("STUB_CARRIER", "rest.nexmo.com"),
    VONAGE_API_KEY="abcd1234",
    VONAGE_API_SECRET="secret-of-the-api",
    VONAGE_SIGNATURE_SECRET="mySignatureSecret0123456789abcdef",
    LOOKUP="offline",
    # Tests of destinations set their own countries.
    ALLOWED_COUNTRIES="*",
    ENCRYPTION_KEYS="tHqO0P5cwAq3b5xhrnbwIs1oTTPgTDkhbRYBbIHzUcM=",
    NUMBER_HASH_KEY="a lookup key for tests only, 32 characters or more",
    # Practically unlimited. Tests of pacing set their own rates.
    CARRIER_REQUESTS_PER_SECOND="100000",
    NUMBER_SEGMENTS_PER_SECOND="*=100000",
    # The same for limits: tests of other things send many texts at once.
    MESSAGES_PER_PERSON_MINUTE="100000",
    MESSAGES_PER_PERSON_DAY="100000",
    MESSAGES_PER_CONVERSATION_MINUTE="100000",
    DAILY_BUDGET="0",
    # Tests of exhausted pools do not wait.
    SOFT_COOL_DOWN_SECONDS="0",
    # Tests travel in time. Those of sessions set their own.
    STAFF_SESSION_SECONDS="10000000000",
    STAFF_IDLE_SECONDS="10000000000",
    NO_ROUTE_NOTICE="Nobody can be reached under this number.",
)

from smsproxy.settings import *  # noqa: E402, F403
from smsproxy.settings import DATABASES  # noqa: E402

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": f"{_databases}.test.sqlite3"}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Look for a static file when one is requested. WhiteNoise would list all of them for each test client.
WHITENOISE_AUTOREFRESH = True
# Tests sign in without a request. Those of the lockout switch it on.
AXES_ENABLED = False
