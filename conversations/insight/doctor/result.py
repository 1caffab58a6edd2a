"""The result of a check."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, but a person should look at it."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It could not be tried, or does not matter here."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """detail: what was found, without secrets and without people's numbers. fix: what to do, "" if nothing."""

    verdict: Verdict
    detail: str
    fix: str = ""


def ok(detail: str) -> Result:
    return Result(verdict=Verdict.OK, detail=detail)


def warning(detail: str, fix: str) -> Result:
    return Result(verdict=Verdict.WARNING, detail=detail, fix=fix)


def failed(detail: str, fix: str) -> Result:
    return Result(verdict=Verdict.FAILED, detail=detail, fix=fix)


def skipped(reason: str) -> Result:
    return Result(verdict=Verdict.SKIPPED, detail=reason)
