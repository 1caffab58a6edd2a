#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    if sys.argv[1:2] == ["makemigrations"]:
        # A developer's command, which reads the models alone: it needs no keys and no .env.
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smsproxy.settings")
    if sys.argv[1:2] == ["demo"]:
        # The demo needs no configuration: it creates its own keys and database before the settings are read.
        from smsproxy.simulator.demo_environment import prepare

        prepare()
    if sys.argv[1:2] == ["init"]:
        # It writes the settings, so it runs before there are any.
        from smsproxy.first_setup.throwaway import prepare as prepare_init

        prepare_init()
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError

    from smsproxy.logs.setup import log_uncaught_errors
    from smsproxy.start import read_settings

    read_settings()
    log_uncaught_errors()
    try:
        execute_from_command_line(sys.argv)
    except (OperationalError, ProgrammingError) as error:
        first_line = str(error).partition("\n")[0]
        sys.exit(f"Database error: {first_line}\nCheck DATABASE_URL, and whether `manage.py migrate` has been run.")
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed it. Python must not report that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
