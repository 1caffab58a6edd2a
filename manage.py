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
    import smsproxy  # noqa: F401  (first of all: it lets the app `numbers` live under its name)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
