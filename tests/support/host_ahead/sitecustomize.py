"""Python imports this as it starts, if its directory is in PYTHONPATH: it moves the clock of that process."""

import os
from datetime import UTC, datetime, timedelta

import time_machine

time_machine.travel(datetime.now(UTC) + timedelta(seconds=float(os.environ["SECONDS_AHEAD"]))).start()
