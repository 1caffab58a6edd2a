"""All settings, from the environment or the file .env. docs/settings.md lists them in tables.

A missing or wrong variable stops the program here, with its name and the fix. If the program can still do something
useful, it is a system check instead (checks.py). All durations are in seconds.
"""

import hashlib
import hmac
from pathlib import Path
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

from smsproxy.browser_settings import *  # noqa: F403
from smsproxy.crypto import is_fernet_key
from smsproxy.database.configuration import complete, complete_direct
from smsproxy.environment import Environment, env_file
from smsproxy.logs import logging_settings
from smsproxy.openapi_settings import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from smsproxy.retention_rules import check_retention

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(env_file())

# Django ---------------------------------------------------------------------------------------------------------------

SECRET_KEY = env.text(
    "SECRET_KEY",
    fix='Create one: python -c "import secrets; print(secrets.token_urlsafe(50))"',
)
DEBUG = env.boolean("DEBUG", default=False)
ALLOWED_HOSTS = env.csv_list("ALLOWED_HOSTS", default="localhost,127.0.0.1")
# The public base URL, under which Vonage reaches this site.
PUBLIC_URL = env.base_url("PUBLIC_URL", "http://127.0.0.1:8000")
ROOT_URLCONF = "smsproxy.urls"
WSGI_APPLICATION = "smsproxy.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

INSTALLED_APPS = [
    "smsproxy.apps.SmsproxyConfig",
    "smsproxy.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "smsproxy.metrics",
    "smsproxy.services",
    "smsproxy.staff",
    "smsproxy.sign_in",
    "smsproxy.api",
    "smsproxy.events",
    "smsproxy.simulator",
    "numbers.apps.NumbersConfig",
    "conversations",
]

STATIC_URL = "static/"
# No collectstatic is needed: WhiteNoise serves the few admin files from the packages.
WHITENOISE_USE_FINDERS = True

# Database -------------------------------------------------------------------------------------------------------------

# Quoted, because it is a URL and the path may contain "#", "?", "%" or a space.
DEFAULT_DATABASE_URL = f"sqlite:///{quote(str(BASE_DIR / 'var' / 'smsproxy.sqlite3'))}"
# A pooler such as PgBouncer, in transaction mode, is between: nothing may depend on the session.
DATABASE_POOLED = env.boolean("DATABASE_POOLED", default=False)
DATABASES = {"default": complete(env.database("DATABASE_URL", default=DEFAULT_DATABASE_URL), is_pooled=DATABASE_POOLED)}
# Workers listen for new messages through it, past the pooler. None: through the database above.
DATABASE_DIRECT = complete_direct(env.optional_database("DATABASE_DIRECT_URL"))

# Security -------------------------------------------------------------------------------------------------------------

IS_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if IS_HTTPS else 0
LANGUAGE_COOKIE_SECURE = IS_HTTPS
# Only behind a proxy that terminates TLS and always sets X-Forwarded-Proto and X-Forwarded-For itself.
BEHIND_TLS_PROXY = env.boolean("BEHIND_TLS_PROXY", default=False)
if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SILENCED_SYSTEM_CHECKS = [
    # The proxy redirects http. A redirect from here would break webhooks behind a misconfigured proxy.
    "security.W008",
    # Only the owner of a domain can decide that all of it is https-only.
    "security.W005",
    "security.W021",
]

# Whether each member of staff must have a second factor. Until it is set up, they see only the page to do so.
STAFF_TWO_FACTOR = env.choice("STAFF_TWO_FACTOR", ["optional", "required"], default="optional")
# When staff have to sign in again: after this time, and after this time without a page.
STAFF_SESSION_SECONDS = env.seconds("STAFF_SESSION_SECONDS", default=8 * 3600, at_least=300)
STAFF_IDLE_SECONDS = env.seconds("STAFF_IDLE_SECONDS", default=1800, at_least=60)
SESSION_COOKIE_AGE = STAFF_SESSION_SECONDS

# The maximum size of a request body in bytes. A message is at most a few kilobytes.
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# The only upload, numbers as CSV, is held in memory. A larger file is dropped while it arrives.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# The first Fernet key encrypts, all of them decrypt. To rotate, put a new key in front.
ENCRYPTION_KEYS = env.secrets(
    "ENCRYPTION_KEYS",
    is_fernet_key,
    fix="Expected Fernet keys, newest first. Create one: "
    'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"',
)
# The key of the hash by which real numbers are found. It cannot be changed later, because old hashes would not match.
NUMBER_HASH_KEY = env.text(
    "NUMBER_HASH_KEY", fix='Create one: python -c "import secrets; print(secrets.token_urlsafe(32))"'
)
if len(NUMBER_HASH_KEY) < 32:
    raise ImproperlyConfigured(f"NUMBER_HASH_KEY: expected 32 characters or more, found {len(NUMBER_HASH_KEY)}.")

# The carrier ----------------------------------------------------------------------------------------------------------

CARRIER = env.choice("CARRIER", ["simulator", "vonage"], default="simulator")
VONAGE_API_KEY = env.text("VONAGE_API_KEY", "")
VONAGE_API_SECRET = env.text("VONAGE_API_SECRET", "")
VONAGE_API_HOST = env.host("VONAGE_API_HOST", "api.nexmo.com")
VONAGE_REST_HOST = env.host("VONAGE_REST_HOST", "rest.nexmo.com")
# Only for Identity Insights: the application and its private key (PEM, with line ends or "\\n", or the path of a file).
VONAGE_APPLICATION_ID = env.text("VONAGE_APPLICATION_ID", "")
VONAGE_PRIVATE_KEY = env.text("VONAGE_PRIVATE_KEY", "").replace("\\n", "\n")
# The timeout of connecting to the carrier, and of each read.
CARRIER_TIMEOUT_SECONDS = env.seconds("CARRIER_TIMEOUT_SECONDS", default=10, at_least=1)

# The first secret signs, all of them verify. To rotate, put a new secret in front.
VONAGE_SIGNATURE_SECRETS = env.csv_list("VONAGE_SIGNATURE_SECRET")
VONAGE_SIGNATURE_METHOD = env.choice(
    "VONAGE_SIGNATURE_METHOD", ["sha256", "md5hash", "md5", "sha1", "sha512"], default="sha256"
)
# The maximum age of a signed webhook. Vonage retries for up to 72 hours, perhaps with the old signature, so a shorter
# time could lose messages after an outage. A replay has no effect: each message is processed once.
WEBHOOK_MAX_AGE_SECONDS = env.seconds("WEBHOOK_MAX_AGE_SECONDS", default=73 * 3600, at_least=1)
ALLOW_UNSIGNED_WEBHOOKS = env.boolean("ALLOW_UNSIGNED_WEBHOOKS", default=False)
if CARRIER == "simulator" and not VONAGE_SIGNATURE_SECRETS:
    # The simulator signs its webhooks as Vonage does, with a secret that stays inside.
    VONAGE_SIGNATURE_SECRETS = [hmac.digest(SECRET_KEY.encode(), b"simulated signatures", hashlib.sha256).hex()]
if CARRIER == "vonage" and not VONAGE_SIGNATURE_SECRETS and not ALLOW_UNSIGNED_WEBHOOKS:
    raise ImproperlyConfigured(
        "VONAGE_SIGNATURE_SECRET is not set, so anyone could post messages to the webhooks. Ask Vonage's support to "
        "sign your account's webhooks and set the secret here. For a trial only, set ALLOW_UNSIGNED_WEBHOOKS=true."
    )

# The service that checks real numbers: only offline, or one of Vonage's two services.
LOOKUP = env.choice("LOOKUP", ["offline", "number_insight", "identity_insights"], default="offline")
LOOKUP_MAX_AGE_SECONDS = env.seconds("LOOKUP_MAX_AGE_SECONDS", default=90 * 24 * 3600)

# The pool -------------------------------------------------------------------------------------------------------------

# Whether a person may get a virtual number of another country.
NUMBER_GEOGRAPHY = env.choice("NUMBER_GEOGRAPHY", ["prefer", "same-country", "any"], default="prefer")
# Whether the same two people get their previous numbers again, or different ones.
NUMBER_STICKINESS = env.choice("NUMBER_STICKINESS", ["sticky", "avoid-sticky"], default="sticky")
# The maximum of live participants (open or cooling down) of a number. 0: no limit.
NUMBER_CAP = env.number("NUMBER_CAP", default=0)
# What to do if a person already uses every suitable number: reject the conversation (strict), or cut short the oldest
# cool-down (soft).
ON_EXHAUSTED = env.choice("ON_EXHAUSTED", ["strict", "soft"], default="strict")
# The part of a cool-down that soft never cuts. In it, late messages are the most likely, and clocks may differ.
SOFT_COOL_DOWN_SECONDS = env.seconds("SOFT_COOL_DOWN_SECONDS", default=600)
# A message to an ended conversation whose numbers are cooling down: notify its sender (end), or reopen (reopen).
LATE_MESSAGE_POLICY = env.choice("LATE_MESSAGE_POLICY", ["end", "reopen"], default="end")
# How long the numbers of an ended conversation are not assigned to other people.
COOL_DOWN_SECONDS = env.seconds("COOL_DOWN_SECONDS", default=7 * 24 * 3600)

# The countries of the phones that may be in a new conversation, and "*" for all. Empty: those of the active numbers of
# the conversation's pool.
ALLOWED_COUNTRIES = env.countries("ALLOWED_COUNTRIES")

# Number health. A number goes into quarantine if at least HEALTH_MAX_FAILURE_PERCENT of its messages to one network
# were not delivered, of HEALTH_MIN_RECEIPTS or more within HEALTH_WINDOW_SECONDS. The share must be at least twice that
# of the other numbers, and not chance. Half of the numbers of a pool and country always stay in service.
# HEALTH_WINDOW_SECONDS=0 switches this off.
HEALTH_WINDOW_SECONDS = env.seconds("HEALTH_WINDOW_SECONDS", default=6 * 3600)
HEALTH_MAX_FAILURE_PERCENT = env.number("HEALTH_MAX_FAILURE_PERCENT", default=30, at_least=1)
HEALTH_MIN_RECEIPTS = env.number("HEALTH_MIN_RECEIPTS", default=20, at_least=1)

# Notices --------------------------------------------------------------------------------------------------------------

# {label} is the other person's label. An empty notice is never sent.
CONFIRMATION_TEXT = env.message_template("CONFIRMATION_TEXT", "Reply to this SMS to talk to {label}")
# To a sender whose conversation has ended, or who has no conversation with the number.
ENDED_NOTICE = env.message_template("ENDED_NOTICE", "This conversation has ended. Your message was not passed on.")
NO_ROUTE_NOTICE = env.message_template("NO_ROUTE_NOTICE", "")
# At most once a day, to a blocked sender. Empty: they are not told.
BLOCKED_NOTICE = env.message_template("BLOCKED_NOTICE", "")
# To a participant, once: another one has opted out with STOP, and receives nothing. {label}: of that person.
OPTED_OUT_NOTICE = env.message_template("OPTED_OUT_NOTICE", "{label} is not receiving messages at the moment.")
# To each participant whose virtual number was replaced, from the new number. {label}: as above.
REPLACED_NOTICE = env.message_template("REPLACED_NOTICE", "From now on, text this number to talk to {label}")
# To the sender of a message that was too long to relay. {segments} and {most} count SMS.
TOO_LONG_NOTICE = env.message_template(
    "TOO_LONG_NOTICE", "Your message was not passed on: it is {segments} SMS long, and {most} is the most."
)
# To the sender of an undelivered message.
UNDELIVERED_NOTICE = env.message_template("UNDELIVERED_NOTICE", "Your last message could not be delivered.")
# To a person whose message is over a limit.
LIMITED_NOTICE = env.message_template(
    "LIMITED_NOTICE", "Your message was not passed on: you have sent too many. Please try again later."
)

# Limits ---------------------------------------------------------------------------------------------------------------

# A limit of 30 a minute allows 30 at once, and then one more every two seconds. 0: no limit.
# A service may have limits of its own.
# Messages of a person in a service, and of all the people in a conversation, that are passed on.
MESSAGES_PER_PERSON_MINUTE = env.number("MESSAGES_PER_PERSON_MINUTE", default=30)
MESSAGES_PER_PERSON_DAY = env.number("MESSAGES_PER_PERSON_DAY", default=500)
MESSAGES_PER_CONVERSATION_MINUTE = env.number("MESSAGES_PER_CONVERSATION_MINUTE", default=60)
# Notices of all kinds that answer a person's own message. The person may be a machine that answers each of them.
NOTICES_PER_NUMBER_HOUR = env.number("NOTICES_PER_NUMBER_HOUR", default=1)
NOTICES_PER_PERSON_DAY = env.number("NOTICES_PER_PERSON_DAY", default=20)
# Answers to HELP, and as many to STOP and START together.
KEYWORD_ANSWERS_PER_PERSON_HOUR = env.number("KEYWORD_ANSWERS_PER_PERSON_HOUR", default=5)
KEYWORD_ANSWERS_PER_PERSON_DAY = env.number("KEYWORD_ANSWERS_PER_PERSON_DAY", default=20)
CONFIRMATIONS_PER_PERSON_DAY = env.number("CONFIRMATIONS_PER_PERSON_DAY", default=100)
# Conversations that a service creates with all its keys, and people who are new to us in them.
CREATIONS_PER_SERVICE_MINUTE = env.number("CREATIONS_PER_SERVICE_MINUTE", default=60)
CREATIONS_PER_SERVICE_DAY = env.number("CREATIONS_PER_SERVICE_DAY", default=5000)
NEW_PEOPLE_PER_SERVICE_MINUTE = env.number("NEW_PEOPLE_PER_SERVICE_MINUTE", default=60)
NEW_PEOPLE_PER_SERVICE_DAY = env.number("NEW_PEOPLE_PER_SERVICE_DAY", default=2000)
# Texts that a service sends by API in a day, one for each recipient.
API_MESSAGES_PER_SERVICE_DAY = env.number("API_MESSAGES_PER_SERVICE_DAY", default=20000)
_LARGEST_GROUP = 10  # MAX_PARTICIPANTS of conversations, which settings cannot import
for _name, _limit in [
    ("NEW_PEOPLE_PER_SERVICE_MINUTE", NEW_PEOPLE_PER_SERVICE_MINUTE),
    ("NEW_PEOPLE_PER_SERVICE_DAY", NEW_PEOPLE_PER_SERVICE_DAY),
]:
    env.require(
        not 0 < _limit < _LARGEST_GROUP,
        f"{_name}: expected 0 for no limit, or at least the {_LARGEST_GROUP} people of the largest conversation, found "
        f"{_limit}. Otherwise such a conversation could never be created.",
    )

env.require(
    not 0 < API_MESSAGES_PER_SERVICE_DAY < _LARGEST_GROUP,
    f"API_MESSAGES_PER_SERVICE_DAY: expected 0 for no limit, or at least the {_LARGEST_GROUP} people of the largest "
    f"conversation, found {API_MESSAGES_PER_SERVICE_DAY}. Otherwise no text could be sent to all of them.",
)

# Requests to the API with one key, unless the key has a rate of its own.
API_REQUESTS_PER_KEY_MINUTE = env.number("API_REQUESTS_PER_KEY_MINUTE", default=600)

# EUR that all messages of one UTC day may cost. Then nothing is sent until midnight UTC, or until staff grant the same
# amount again. 0: no limit.
DAILY_BUDGET = env.euros("DAILY_BUDGET", default="100")
# EUR that a segment counts for until the carrier returns its price.
PRICE_ESTIMATE_EUR = env.euros("PRICE_ESTIMATE_EUR", default="0.07")

# Reactions ------------------------------------------------------------------------------------------------------------

# A phone's reaction to a message, such as “Liked “…””: relay it as it is (pass), as a short text that says what it is
# (mark), or not at all (drop).
REACTIONS = env.choice("REACTIONS", ["pass", "mark", "drop"], default="pass")

# Keywords -------------------------------------------------------------------------------------------------------------

# Who runs this service, and where people get help: {operator} and {contact} in the answers to keywords.
OPERATOR_NAME = env.text("OPERATOR_NAME", "")
OPERATOR_CONTACT = env.text("OPERATOR_CONTACT", "")
# The answers to STOP, START and HELP. An empty answer is never sent.
STOP_ANSWER = env.message_template(
    "STOP_ANSWER", "{operator}: you will get no more messages from our numbers. Text START to get them again."
)
START_ANSWER = env.message_template("START_ANSWER", "{operator}: you get messages again. Text STOP to end them.")
HELP_ANSWER = env.message_template(
    "HELP_ANSWER", "{operator} passes on messages between people. Help: {contact}. Text STOP to end messages."
)
# Virtual numbers to which the carrier itself answers STOP and START, by country and type. We do not answer there.
CARRIER_ANSWERS_STOP = env.number_kinds("CARRIER_ANSWERS_STOP", default="US:toll-free")

# Long messages --------------------------------------------------------------------------------------------------------

# How long to wait for missing parts. Vonage retries a failed webhook after a minute, so two minutes are usual.
LONG_MESSAGE_TIMEOUT_SECONDS = env.seconds("LONG_MESSAGE_TIMEOUT_SECONDS", default=180, at_least=1)
# The maximum of SMS that a relayed message may take.
MAX_SEGMENTS = env.number("MAX_SEGMENTS", default=6, at_least=1)
env.require(
    not 0 < DAILY_BUDGET < MAX_SEGMENTS * PRICE_ESTIMATE_EUR,
    "DAILY_BUDGET: expected 0 for no limit, or at least the estimate of the longest message, MAX_SEGMENTS times "
    f"PRICE_ESTIMATE_EUR (EUR {MAX_SEGMENTS * PRICE_ESTIMATE_EUR}), found {DAILY_BUDGET}. "
    "Otherwise such a message would stop all sending every day.",
)

# Delivery -------------------------------------------------------------------------------------------------------------

# The rate limit of the account, in requests a second. Vonage allows 30 unless agreed otherwise.
CARRIER_REQUESTS_PER_SECOND = env.number("CARRIER_REQUESTS_PER_SECOND", default=30, at_least=1)
# The rate limit of a virtual number by its country, in segments a second. Networks of the United States and Canada
# allow one. "*" is for all other countries. A number's own rate, set in the admin, takes precedence.
NUMBER_SEGMENTS_PER_SECOND = env.rates("NUMBER_SEGMENTS_PER_SECOND", default="*=10,US=1,CA=1")

# How long a worker may hold a message that it sends. After that, its outcome is unknown.
SEND_LEASE_SECONDS = env.seconds("SEND_LEASE_SECONDS", default=60)
env.require(
    SEND_LEASE_SECONDS > 2 * CARRIER_TIMEOUT_SECONDS,
    "SEND_LEASE_SECONDS: expected more than twice CARRIER_TIMEOUT_SECONDS "
    f"({2 * CARRIER_TIMEOUT_SECONDS} seconds), found {SEND_LEASE_SECONDS}.",
)
# How long to try to deliver a message.
MESSAGE_MAX_AGE_SECONDS = env.seconds("MESSAGE_MAX_AGE_SECONDS", default=24 * 3600, at_least=1)
# A message queued before the end of a conversation must never be sent after its number was assigned to other people.
env.require(
    COOL_DOWN_SECONDS > MESSAGE_MAX_AGE_SECONDS + SEND_LEASE_SECONDS,
    "COOL_DOWN_SECONDS: expected more than MESSAGE_MAX_AGE_SECONDS and SEND_LEASE_SECONDS together "
    f"({MESSAGE_MAX_AGE_SECONDS + SEND_LEASE_SECONDS} seconds), found {COOL_DOWN_SECONDS}.",
)
# And a webhook as old as is accepted must never be given to the next conversation of its pair.
env.require(
    COOL_DOWN_SECONDS > WEBHOOK_MAX_AGE_SECONDS,
    f"COOL_DOWN_SECONDS: expected more than WEBHOOK_MAX_AGE_SECONDS ({WEBHOOK_MAX_AGE_SECONDS} seconds), found "
    f"{COOL_DOWN_SECONDS}. Raise COOL_DOWN_SECONDS, or lower WEBHOOK_MAX_AGE_SECONDS.",
)
# The cool-down of a pool is also longer than this.
MIN_COOL_DOWN_SECONDS = max(MESSAGE_MAX_AGE_SECONDS + SEND_LEASE_SECONDS, WEBHOOK_MAX_AGE_SECONDS)
# How long a message of unknown outcome, and all later ones to the same person, wait for a receipt. Then it is held for
# staff and the later ones are sent, or it is sent again. RECONCILE=reports also searches the carrier's paid records.
UNKNOWN_OUTCOME_TIMEOUT_SECONDS = env.seconds("UNKNOWN_OUTCOME_TIMEOUT_SECONDS", default=60, at_least=1)
UNKNOWN_OUTCOME_POLICY = env.choice("UNKNOWN_OUTCOME_POLICY", ["hold", "resend"], default="hold")
RECONCILE = env.choice("RECONCILE", ["off", "reports"], default="off")
RECONCILE_REQUESTS_PER_HOUR = env.number("RECONCILE_REQUESTS_PER_HOUR", default=60, at_least=1)

# Retention ------------------------------------------------------------------------------------------------------------

# When message bodies, messages, and their events and receipts are deleted. 0: never. retention_rules.py: how early.
TEXT_RETENTION_SECONDS = env.seconds("TEXT_RETENTION_SECONDS", default=0)
MESSAGE_RETENTION_SECONDS = env.seconds("MESSAGE_RETENTION_SECONDS", default=365 * 24 * 3600)
EVENT_RETENTION_SECONDS = env.seconds("EVENT_RETENTION_SECONDS", default=90 * 24 * 3600)
check_retention(env, globals())

# The API --------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["smsproxy.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["smsproxy.api.permissions.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["smsproxy.api.parsers.BoundedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "smsproxy.api.negotiation.AlwaysJSON",
    "DEFAULT_SCHEMA_CLASS": "smsproxy.api.openapi.Schema",
    "EXCEPTION_HANDLER": "smsproxy.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

# Logs, traces and metrics ---------------------------------------------------------------------------------------------

LOG_LEVEL = env.choice("LOG_LEVEL", ["DEBUG", "INFO", "WARNING"], default="INFO")
LOGGING = logging_settings(level=LOG_LEVEL, style=env.choice("LOG_FORMAT", ["text", "json"], default="text"))
OTEL_EXPORTER_OTLP_ENDPOINT = env.text("OTEL_EXPORTER_OTLP_ENDPOINT", "")
METRICS_TOKEN = env.token("METRICS_TOKEN", min_length=32)  # Empty: API keys open /metrics.

# At the end, when every setting was read.
env.raise_errors()
