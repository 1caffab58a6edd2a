"""What the exit codes of the pool's commands mean, for scripts and for their help."""

from enum import IntEnum


class ExitCode(IntEnum):
    DONE = 0
    CARRIER = 1
    USAGE = 2
    FEWER = 3
    NOT_CONFIGURED = 4
    DRIFT = 5


EPILOG = (
    "Exit codes: 0 all done; 1 the carrier or our configuration is at fault, or it was interrupted, and the message "
    "says what to do; 2 wrong usage, or the confirmation was refused: nothing was done; 3 fewer numbers than asked "
    "for; 4 all are ours, but the texts of some do not reach us yet; 5 the carrier and the pool differ."
)
