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
    from django.db import OperationalError, ProgrammingError

    try:
        settings.INSTALLED_APPS  # noqa: B018  (reads the settings)
    except ImproperlyConfigured as error:
        # Django itself would go on, and fail later with words that do not name the variable.
        sys.exit(
            f"smsproxy cannot start: {error}\n"
            "Settings come from the environment and from the file .env: `cp .env.example .env` begins one. "
            "The demo's are in var/demo.env: ENV_FILE=var/demo.env manage.py …"
        )
    try:
        execute_from_command_line(sys.argv)
    except (OperationalError, ProgrammingError) as error:
        first_line = str(error).partition("\n")[0]
        sys.exit(
            f"The database cannot do this: {first_line}\nIs DATABASE_URL right, and has `manage.py migrate` been run?"
        )
    except BrokenPipeError:
        # Whoever read our output, `head` say, has had enough. Python would complain once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
