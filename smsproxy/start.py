"""The start of a program: read the settings, or end with their plain error."""

import os
import sys


def read_settings() -> None:
    """Read the settings. A bad one ends the program: Django would go on, or show a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smsproxy.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    try:
        settings.INSTALLED_APPS  # noqa: B018  (reads the settings)
    except ImproperlyConfigured as error:
        sys.exit(
            f"smsproxy cannot start: {error}\n"
            "Settings are read from the environment and the file .env. Create one with `manage.py init`. "
            "To use the settings of the demo: ENV_FILE=var/demo.env manage.py …"
        )


def check_before_serving() -> None:
    """Read the settings and check what is between this host and the database. What is wrong ends the program."""
    read_settings()
    import logging.config

    from django.conf import settings

    from smsproxy.database.pooler import exit_if_pooler_is_wrong

    logging.config.dictConfig(settings.LOGGING)
    exit_if_pooler_is_wrong()
