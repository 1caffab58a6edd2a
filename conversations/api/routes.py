"""GET /api/v1/routes/explain/?to=%2B44…: what would become of a text now, and why."""

from dataclasses import asdict

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from conversations.insight.explain_route import explain_route
from smsproxy.api.problems import Problem
from smsproxy.phone import NotE164, parse_e164

HEADER = "From-Number"


class ExplainRoute(APIView):
    """The person's number comes in a header, and never in the address, since addresses are logged."""

    def get(self, request: Request) -> Response:
        if set(request.query_params) - {"to"}:
            raise Problem(
                400,
                "The query has more than «to»",
                f"Expected only «to», the virtual number. The person's number goes into the header {HEADER}: addresses "
                "are logged, and so it may be in a log already, if it was in this one.",
                code="number_in_address",
            )
        if HEADER not in request.headers:
            raise Problem(
                400,
                f"The header {HEADER} is missing",
                f"Expected the number of the person who texts, in E.164 form, in the header {HEADER}.",
                code="from_number_missing",
            )
        sender = _parsed(request.headers[HEADER], f"the header {HEADER}", code="from_number_not_e164")
        recipient = _parsed(request.query_params.get("to", ""), "«to»", code="to_not_e164")
        return Response(asdict(explain_route(sender, recipient)), headers={"Cache-Control": "no-store"})


def _parsed(text: str, where: str, *, code: str) -> str:
    """In E.164; the problem does not repeat what was there instead."""
    try:
        return parse_e164(text)
    except NotE164 as error:
        in_address = " In an address, “+” is written %2B." if code == "to_not_e164" else ""
        raise Problem(400, "The number is not valid", f"In {where}: {error}.{in_address}", code=code) from None
