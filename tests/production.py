"""The settings as in production, with Vonage: what `check --deploy` is run on."""

import os

os.environ["CARRIER_FOR_TESTS"] = "vonage"

from tests.settings import *  # noqa: F403
