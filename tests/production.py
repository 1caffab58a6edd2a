"""The settings of production, with Vonage, for `check --deploy`."""

import os

os.environ["CARRIER_FOR_TESTS"] = "vonage"

from tests.settings import *  # noqa: F403
