#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smsproxy.settings")
    if sys.argv[1:2] == ["demo"]:
        # The demo runs in a bare environment: it makes its own keys and database before the settings are read.
        from smsproxy.simulator.demo_environment import prepare

        prepare()
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        settings.INSTALLED_APPS  # noqa: B018  (reads the settings)
    except ImproperlyConfigured as error:
        # Django itself would go on, and fail later with words that do not name the variable.
        sys.exit(f"smsproxy cannot start: {error}")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
