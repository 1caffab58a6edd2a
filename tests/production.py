"""The settings of production, with Vonage, for `check --deploy`."""

import os

os.environ["CARRIER_FOR_TESTS"] = "vonage"
os.environ["OPERATOR_NAME"] = "Rides Ltd"
os.environ["OPERATOR_CONTACT"] = "help.rides.example"

from tests.settings import *  # noqa: F403
