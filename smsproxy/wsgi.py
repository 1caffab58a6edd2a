"""The web application, for gunicorn: `gunicorn smsproxy.wsgi`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smsproxy.settings")

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
