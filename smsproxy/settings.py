"""All settings, from the environment (or the file .env). docs/settings.md has them in tables.

A variable that is missing or wrong stops the program here with its name and the fix, or is a system check (checks.py)
where the program could still do something useful. Durations are seconds everywhere.
"""

import hashlib
import hmac
import os
from pathlib import Path
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

from smsproxy.crypto import is_fernet_key
from smsproxy.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
# Another file than .env: the demo and the tests have their own.
env = Environment(Path(os.environ.get("ENV_FILE", BASE_DIR / ".env")))

# Django ---------------------------------------------------------------------------------------------------------------

SECRET_KEY = env.text(
    "SECRET_KEY",
    fix='Make one: python -c "import secrets; print(secrets.token_urlsafe(50))"',
)
DEBUG = env.flag("DEBUG", default=False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", default="localhost,127.0.0.1")
# The https base under which the world, and so Vonage, reaches this site.
PUBLIC_URL = env.base_url("PUBLIC_URL", "http://127.0.0.1:8000")
ROOT_URLCONF = "smsproxy.urls"
WSGI_APPLICATION = "smsproxy.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"

INSTALLED_APPS = [
    "smsproxy.apps.SmsproxyConfig",
    "smsproxy.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "import_export",
    "smsproxy.api",
    "smsproxy.simulator",
    "numbers.apps.NumbersConfig",
    "conversations",
]

MIDDLEWARE = [
    "smsproxy.middleware.webhooks_first",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "smsproxy.middleware.database_in_time",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

STATIC_URL = "static/"
# No collectstatic needed: a few admin files, found where the packages keep them.
WHITENOISE_USE_FINDERS = True

# Database -------------------------------------------------------------------------------------------------------------

# Quoted, since it is a URL: the folder may have "#", "?", "%" or a space in its name.
DEFAULT_DATABASE_URL = f"sqlite:///{quote(str(BASE_DIR / 'var' / 'smsproxy.sqlite3'))}"
DATABASES = {"default": env.database("DATABASE_URL", default=DEFAULT_DATABASE_URL)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    Path(DATABASES["default"]["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["OPTIONS"] = {
        # Writers queue at BEGIN instead of failing half-way when two have read and both want to write.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # Readers are not held up by the writer. Each commit still reaches the disk: synchronous=FULL is the default.
        "init_command": "PRAGMA journal_mode=WAL",
    }
else:
    DATABASES["default"]["OPTIONS"] = {
        # A database that is away must be noticed before Vonage gives up on the webhook (15 seconds). Webhooks have more
        # of this kind, in smsproxy/database/deadline.py.
        "connect_timeout": 2,
        # Workers and the API notice within some 20 seconds that the network swallows everything: what was sent is not
        # confirmed (milliseconds), or, while they wait for an answer, nobody is there.
        "tcp_user_timeout": 20_000,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        # And the server lets go, after as long, of what a host has locked that is gone or asleep: else one that
        # vanishes while it claims would keep all workers from sending.
        # client_connection_check_interval makes it notice that we have hung up while it works for us, or waits for a
        # lock. And compiling a query (jit) takes longer than any of ours runs.
        "options": "-c idle_in_transaction_session_timeout=30s -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=3 "
        "-c tcp_keepalives_count=3 -c client_connection_check_interval=2s -c jit=off",
        # For smsproxy/database/prepared.py alone: Django's own cursors never prepare a statement.
        "prepare_threshold": 0,
        **DATABASES["default"].get("OPTIONS", {}),
    }
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# Security -------------------------------------------------------------------------------------------------------------

IS_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if IS_HTTPS else 0
# Behind a proxy that ends TLS and sets X-Forwarded-Proto itself.
if env.flag("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SILENCED_SYSTEM_CHECKS = [
    # The proxy in front redirects http; a redirect from here would break webhooks behind a proxy that is set up wrong.
    "security.W008",
    # Whether a whole domain is https-only is for its owner to say.
    "security.W005",
    "security.W021",
]

# The largest request body that is read, in bytes. A text is at most a few kilobytes.
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# The one upload that there is, numbers as CSV, is held in memory. A larger file is dropped as it comes.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# The newest Fernet key encrypts, all decrypt: put a new one in front to rotate.
ENCRYPTION_KEYS = env.secrets(
    "ENCRYPTION_KEYS",
    is_fernet_key,
    fix="Expected Fernet keys, newest first. Make one: "
    'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"',
)
# The key of the hash by which real numbers are found. It cannot be changed later: the hashes would not be found again.
LOOKUP_KEY = env.text("LOOKUP_KEY", fix='Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"')
if len(LOOKUP_KEY) < 32:
    raise ImproperlyConfigured(f"LOOKUP_KEY: expected 32 characters or more, found {len(LOOKUP_KEY)}.")

# The carrier ----------------------------------------------------------------------------------------------------------

CARRIER = env.choice("CARRIER", ["simulator", "vonage"], default="simulator")
VONAGE_API_KEY = env.text("VONAGE_API_KEY", "")
VONAGE_API_SECRET = env.text("VONAGE_API_SECRET", "")
VONAGE_API_HOST = env.host("VONAGE_API_HOST", "api.nexmo.com")
VONAGE_REST_HOST = env.host("VONAGE_REST_HOST", "rest.nexmo.com")
# For Identity Insights only: the application and its private key (PEM, with line ends or with "\\n" for each, or the
# path of a file that holds it).
VONAGE_APPLICATION_ID = env.text("VONAGE_APPLICATION_ID", "")
VONAGE_PRIVATE_KEY = env.text("VONAGE_PRIVATE_KEY", "").replace("\\n", "\n")
# Seconds to wait for the carrier to connect, and for each piece of its answer.
CARRIER_TIMEOUT = env.seconds("CARRIER_TIMEOUT", default=10, at_least=1)

# The first signs and verifies, all verify: put a new one in front to rotate.
VONAGE_SIGNATURE_SECRETS = env.words("VONAGE_SIGNATURE_SECRET")
VONAGE_SIGNATURE_METHOD = env.choice(
    "VONAGE_SIGNATURE_METHOD", ["sha256", "md5hash", "md5", "sha1", "sha512"], default="sha256"
)
# How old a signed webhook may be. Vonage repeats a receipt for up to 72 hours, and nobody knows whether it signs it
# anew, so a shorter time could lose texts after an outage. A replay does nothing: each message is taken once.
SIGNATURE_MAX_AGE = env.seconds("SIGNATURE_MAX_AGE", default=73 * 3600, at_least=1)
ALLOW_UNSIGNED_WEBHOOKS = env.flag("ALLOW_UNSIGNED_WEBHOOKS", default=False)
if CARRIER == "simulator" and not VONAGE_SIGNATURE_SECRETS:
    # The simulator signs its webhooks as Vonage does; outside, nobody knows this secret.
    VONAGE_SIGNATURE_SECRETS = [hmac.digest(SECRET_KEY.encode(), b"simulated signatures", hashlib.sha256).hex()]
if CARRIER == "vonage" and not VONAGE_SIGNATURE_SECRETS and not ALLOW_UNSIGNED_WEBHOOKS:
    raise ImproperlyConfigured(
        "VONAGE_SIGNATURE_SECRET is not set, so anybody could post texts to the webhooks. Ask Vonage's support to sign "
        "your account's webhooks and put the secret here; or, to try things out, say ALLOW_UNSIGNED_WEBHOOKS=true."
    )

# What real numbers are checked with, beyond the offline check: nothing, or one of Vonage's two services.
LOOKUP = env.choice("LOOKUP", ["offline", "number_insight", "identity_insights"], default="offline")
# How long an answer of the lookup is believed.
LOOKUP_MAX_AGE = env.seconds("LOOKUP_MAX_AGE", default=90 * 24 * 3600)

# The pool -------------------------------------------------------------------------------------------------------------

# May a person be given a virtual number of another country than their own?
NUMBER_GEOGRAPHY = env.choice("NUMBER_GEOGRAPHY", ["prefer", "same-country", "any"], default="prefer")
# Do the same two people get the numbers that they had with each other before, or rather others?
NUMBER_STICKINESS = env.choice("NUMBER_STICKINESS", ["sticky", "avoid-sticky"], default="sticky")
# The most live participants (open or cooling down) that a number may have. 0: as many as come.
NUMBER_CAP = env.number("NUMBER_CAP", default=0)
# Somebody has every number that could serve them in a conversation already: refuse (strict), or cut short the cool-down
# that began the longest ago (soft)?
NUMBERS_USED_UP = env.choice("NUMBERS_USED_UP", ["strict", "soft"], default="strict")
# A text to a conversation that has ended, while its numbers cool down: its sender is told (end), or it reopens it.
LATE_TEXTS = env.choice("LATE_TEXTS", ["end", "reopen"], default="end")
# How long after its end a conversation's numbers are given to nobody else.
COOL_DOWN = env.seconds("COOL_DOWN", default=7 * 24 * 3600)

# The health of numbers: one gets no new conversations if, of HEALTH_LEAST or more of its texts to some network within
# HEALTH_WINDOW, at least HEALTH_THRESHOLD percent were not delivered, and that is twice the share of the other numbers
# and no bad luck. Half of the numbers of a pool and country stay in service in any case. HEALTH_WINDOW=0: nothing is
# watched.
HEALTH_WINDOW = env.seconds("HEALTH_WINDOW", default=6 * 3600)
HEALTH_THRESHOLD = env.number("HEALTH_THRESHOLD", default=30, at_least=1)
HEALTH_LEAST = env.number("HEALTH_LEAST", default=20, at_least=1)

# Texts of our own -----------------------------------------------------------------------------------------------------

# {label} is the other person's label. Empty: no such text is ever sent.
CONFIRMATION_TEXT = env.wording("CONFIRMATION_TEXT", "Reply to this SMS to talk to {label}")
# Once a day, to somebody whose conversation has ended, or to whom the number means nothing.
ENDED_NOTICE = env.wording("ENDED_NOTICE", "This conversation has ended. Your message was not passed on.")
STRANGER_NOTICE = env.wording("STRANGER_NOTICE", "")
# To each participant of a virtual number that is replaced, from the one that they are given instead. {label}: as above.
REPLACED_NOTICE = env.wording("REPLACED_NOTICE", "From now on, text this number to talk to {label}")
# To somebody whose text was too long to be passed on. {segments} and {most}: SMS.
TOO_LONG_NOTICE = env.wording(
    "TOO_LONG_NOTICE", "Your message was not passed on: it is {segments} SMS long, and {most} is the most."
)
# To somebody whose text did not arrive after all, at most once in UNDELIVERED_NOTICE_EVERY to each.
UNDELIVERED_NOTICE = env.wording("UNDELIVERED_NOTICE", "Your last message could not be delivered.")
UNDELIVERED_NOTICE_EVERY = env.seconds("UNDELIVERED_NOTICE_EVERY", default=3600, at_least=1)

# Long texts -----------------------------------------------------------------------------------------------------------

# How long the parts of a long text are waited for. Then it is passed on with what there is. Vonage repeats a webhook
# that failed after a minute, so a part may well be two minutes late.
CONCAT_TIMEOUT = env.seconds("CONCAT_TIMEOUT", default=180, at_least=1)
# The most SMS that a text may take to be passed on.
MAX_SEGMENTS = env.number("MAX_SEGMENTS", default=6, at_least=1)

# Delivery -------------------------------------------------------------------------------------------------------------

# The requests that the account may make a second: 30, unless Vonage has agreed to more.
CARRIER_RATE = env.number("CARRIER_RATE", default=30, at_least=1)
# The segments that a virtual number may send a second, by its country. The networks of the United States and Canada
# take one; "*" is for all others. A number's own rate, in the admin, goes before.
NUMBER_RATES = env.rates("NUMBER_RATES", default="*=10,US=1,CA=1")

# How long a worker may hold a message that it is sending. After that nobody knows whether it was sent.
LEASE = env.seconds("LEASE", default=60)
if LEASE <= 2 * CARRIER_TIMEOUT:
    raise ImproperlyConfigured(
        f"LEASE: expected more than twice CARRIER_TIMEOUT ({2 * CARRIER_TIMEOUT} seconds), found {LEASE}."
    )
# How long a text is worth trying to deliver.
MESSAGE_MAX_AGE = env.seconds("MESSAGE_MAX_AGE", default=24 * 3600, at_least=1)
# A text that was queued before the end of a conversation must never leave when its number already stands for somebody
# else.
SHORTEST_COOL_DOWN = MESSAGE_MAX_AGE + LEASE
if COOL_DOWN <= SHORTEST_COOL_DOWN:
    raise ImproperlyConfigured(
        f"COOL_DOWN: expected more than MESSAGE_MAX_AGE and LEASE together ({SHORTEST_COOL_DOWN} seconds), "
        f"found {COOL_DOWN}."
    )
# A message whose outcome is unknown waits this long for a receipt, and its line behind it; then it is held for staff
# and the line goes on, or it is sent again.
UNKNOWN_AFTER = env.seconds("UNKNOWN_AFTER", default=60, at_least=1)
UNKNOWN_POLICY = env.choice("UNKNOWN_POLICY", ["hold", "resend"], default="hold")

# Retention ------------------------------------------------------------------------------------------------------------

# After how long texts are erased from the database; what became of them stays. 0: never.
TEXT_RETENTION = env.seconds("TEXT_RETENTION", default=0)
# Until then a text may be sent, a long one completed, and a part of it told from a repeated one.
_NEEDED = MESSAGE_MAX_AGE + LEASE + CONCAT_TIMEOUT + 600
if 0 < TEXT_RETENTION <= _NEEDED:
    raise ImproperlyConfigured(
        "TEXT_RETENTION: expected 0, or more than MESSAGE_MAX_AGE, LEASE, CONCAT_TIMEOUT and ten minutes together "
        f"({_NEEDED} seconds), found {TEXT_RETENTION}."
    )

# The API --------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["smsproxy.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["smsproxy.api.authentication.HasApiKey"],
    "DEFAULT_PARSER_CLASSES": ["smsproxy.api.parsers.BoundedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "smsproxy.api.negotiation.AlwaysJSON",
    "EXCEPTION_HANDLER": "smsproxy.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

# Logs -----------------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "redacting": {
            "()": "smsproxy.logs.RedactingFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "redacting"},
        # What silences a logger: one without any handler prints its warnings all the same, unredacted.
        "nowhere": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["console"], "level": env.choice("LOG_LEVEL", ["DEBUG", "INFO", "WARNING"], default="INFO")},
    "loggers": {
        # Ours, not Django's own handlers, so that every line passes the redacting formatter.
        "django": {"handlers": [], "propagate": True},
        # The development server's access lines hold query strings, and with them numbers and texts.
        "django.server": {"handlers": ["nowhere"], "propagate": False},
        # One line for each answer of 4xx, forged webhooks among them, would bury the rest; those are counted instead.
        "django.request": {"level": "ERROR"},
        # Scanners call by every name there is. The answer is a 400; a traceback for each would bury the rest.
        "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
    },
}
