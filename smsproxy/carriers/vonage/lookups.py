"""Vonage's two lookup services. Number Insight ends on 4 February 2027; Identity Insights takes its place."""

import re
from typing import Any

from vonage_identity_insights.requests import (
    EmptyInsight,
    IdentityInsightsRequest,
    InsightsRequest,
)
from vonage_number_insight import BasicInsightRequest

from smsproxy.carriers.base import AccountFault, LookupResult, LookupVerdict, TemporaryFailure
from smsproxy.carriers.vonage.client import Client, build, read
from smsproxy.carriers.vonage.faults import STATUS, insight_fault
from smsproxy.carriers.vonage.fields import read_country, write_number

# The only purpose that a test application may name. The insights that we ask for do not need one.
PURPOSE = "FraudPreventionAndDetection"

_LINE_TYPE = re.compile(r"[a-z_ -]{1,30}")


def number_insight(client: Client, number: str) -> LookupResult:
    """Number Insight Basic: whether the number is one, and its country. It does not know the line type."""
    # The country is not sent: a number in E.164 is refused if Vonage has another country for it.
    request = build(BasicInsightRequest, number=write_number(number))
    body = read(client, lambda: client.number_insight.get_basic_info(request))
    status = str(body.get("status", ""))
    if not STATUS.fullmatch(status):
        raise TemporaryFailure("an answer that cannot be read")
    if status in ("3", "5"):
        return LookupResult(verdict=LookupVerdict.INVALID)
    # 43 to 45: not all is known. The format, which is all that we want, is.
    if status not in ("0", "43", "44", "45"):
        raise insight_fault(status)
    return LookupResult(verdict=LookupVerdict.VALID, country=read_country(body.get("country_code")))


def identity_insights(client: Client, number: str) -> LookupResult:
    """The insights `format` and `current_carrier`. Each has a status of its own."""
    request = build(
        IdentityInsightsRequest,
        phone_number=write_number(number),
        purpose=PURPOSE,
        insights=InsightsRequest(format=EmptyInsight(), current_carrier=EmptyInsight()),
    )
    insights = _object(read(client, lambda: client.identity_insights.requests(request)), "insights")
    number_format = _object(insights, "format")
    code = str(_object(number_format, "status").get("code", ""))
    if code == "INVALID_NUMBER_FORMAT" or number_format.get("is_format_valid") is False:
        return LookupResult(verdict=LookupVerdict.INVALID)
    if code in ("UNAUTHORIZED", "INVALID_PURPOSE"):
        raise AccountFault("the application may not ask this", code=code)
    if code not in ("OK", "PARTIAL_SUCCESS"):
        raise TemporaryFailure("Vonage could not say whether the number is valid")
    # The carrier's insight is a bonus: not all networks are covered.
    line_type = str(_object(insights, "current_carrier").get("network_type") or "").lower()
    return LookupResult(
        verdict=LookupVerdict.VALID,
        country=read_country(number_format.get("country_code")),
        line_type=line_type if _LINE_TYPE.fullmatch(line_type) else "",
    )


def _object(body: dict[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    return value if isinstance(value, dict) else {}
