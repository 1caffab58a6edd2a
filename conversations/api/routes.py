"""GET /api/v1/routes/explain/?to=%2B44…: the outcome that a message would have now, and why."""

from dataclasses import asdict

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from conversations.insight.explain_route import explain_route
from smsproxy.api.authentication import service_of
from smsproxy.api.problems import Problem
from smsproxy.phone import NotE164, parse_e164

HEADER = "From-Number"


class ExplainRoute(APIView):
    """Explain a route. The person's number comes in a header, never in the URL, because URLs are logged."""

    def get(self, request: Request) -> Response:
        if set(request.query_params) - {"to"}:
            raise Problem(
                400,
                "The query has a parameter other than «to»",
                f"Expected only «to», the virtual number. Send the person's number in the header {HEADER}. URLs are "
                "logged: a person's number in this URL may already be in a log.",
                code="number_in_address",
            )
        if HEADER not in request.headers:
            raise Problem(
                400,
                f"The header {HEADER} is missing",
                f"Expected the sender's number, in E.164 form, in the header {HEADER}.",
                code="from_number_missing",
            )
        sender = _parsed(request.headers[HEADER], f"the header {HEADER}", code="from_number_not_e164")
        recipient = _parsed(request.query_params.get("to", ""), "«to»", code="to_not_e164")
        explanation = explain_route(sender, recipient, service_id=service_of(request))
        return Response(asdict(explanation), headers={"Cache-Control": "no-store"})


def _parsed(text: str, where: str, *, code: str) -> str:
    """Return the number in E.164. The problem does not repeat what was found."""
    try:
        return parse_e164(text)
    except NotE164 as error:
        in_address = " In a URL, encode “+” as %2B." if code == "to_not_e164" else ""
        raise Problem(400, "The number is not valid", f"In {where}: {error}.{in_address}", code=code) from None
