"""Settings of what browsers get: middleware, templates, sign-in, security headers and languages.

None of them depends on the environment. settings.py takes all of them over.
"""

from datetime import timedelta
from pathlib import Path

MIDDLEWARE = [
    "smsproxy.middleware.no_body_for_head",
    "smsproxy.logs.request_id.request_id_middleware",
    "smsproxy.metrics.requests.count_api_requests",
    "conversations.clock_guard.refuse_while_clock_is_wrong",
    "smsproxy.middleware.machines_first",
    "smsproxy.security_headers.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "smsproxy.api.middleware.rate_limit_headers",
    "smsproxy.api.middleware.database_deadline_middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "smsproxy.sign_in.language.language_of_staff",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "smsproxy.sign_in.middleware.staff_sessions",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # Last: the page of a locked sign-in takes the place of the form.
    "axes.middleware.AxesMiddleware",
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

# Sign-in --------------------------------------------------------------------------------------------------------------

LOGIN_URL = "admin:login"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# Five wrong passwords for a user name from one address lock this pair for 15 minutes.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_HTTP_RESPONSE_CODE = 429
AXES_LOCKOUT_CALLABLE = "smsproxy.sign_in.lockout.locked_page"
AXES_CLIENT_IP_CALLABLE = "smsproxy.sign_in.lockout.client_address"
# Something typed by mistake, such as a password, is neither stored nor logged.
AXES_USERNAME_CALLABLE = "smsproxy.sign_in.lockout.stored_name"
AXES_CLIENT_STR_CALLABLE = "smsproxy.sign_in.lockout.logged_client"
# The audit records sign-ins.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# The name beside the code in the authenticator app.
OTP_TOTP_ISSUER = "smsproxy"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "smsproxy.cockpit.error_pages.csrf_failed"

# Headers --------------------------------------------------------------------------------------------------------------

# No inline script and no inline style, anywhere. "data:" is for the icons in style sheets.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"

# Languages of the admin. The API, texts and webhooks stay in English --------------------------------------------------

LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [Path(__file__).resolve().parent / "locale"]
# Numbers have a decimal point in all languages, because drawings are made of them.
FORMAT_MODULE_PATH = ["smsproxy.formats"]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
