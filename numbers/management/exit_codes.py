"""The exit codes of the pool commands, for scripts and for the help texts."""

from enum import IntEnum


class ExitCode(IntEnum):
    DONE = 0
    CARRIER = 1
    USAGE = 2
    PARTIAL = 3
    NOT_CONFIGURED = 4
    DRIFT = 5


EPILOG = (
    "Exit codes: 0 all done; 1 carrier error, configuration error or interrupt, and the message says what to do; "
    "2 wrong usage or no confirmation: nothing was done; 3 fewer numbers than requested; 4 all numbers are ours, but "
    "some do not reach us yet; 5 the carrier and the pool differ."
)
