"""The web application, for gunicorn: `gunicorn smsproxy.wsgi`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smsproxy.settings")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
