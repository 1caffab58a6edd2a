"""GET /api/v1/routes/explain/?to=%2B44…: the outcome that a message would have now, and why."""

from dataclasses import asdict
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api import examples
from conversations.insight.explain_route import explain_route
from conversations.models import ConversationState, InboundOutcome
from numbers.models import NumberState
from smsproxy.api.authentication import service_of
from smsproxy.api.fields import E164Field, Parameters
from smsproxy.api.problems import header_problem
from smsproxy.api.schema import Header, operation
from smsproxy.api.views import ApiView
from smsproxy.phone import E164_PATTERN, NotE164, parse_e164
from smsproxy.values import sentence

FROM_NUMBER = Header(
    name="From-Number",
    description="The person's real number, in E.164 form. It is never in the URL, because URLs are logged.",
    required=True,
    pattern=E164_PATTERN,
    example="+447700900003",
)


class ExplainParameters(Parameters):
    unknown = ErrorDetail(
        "Unknown parameter. Expected only «to», the virtual number. Send the person's number in the header "
        "From-Number. URLs are logged: a person's number in this URL may already be in a log.",
        code="unknown_parameter",
    )
    to = E164Field(help_text="The virtual number. In a URL, encode “+” as %2B.")


class FoundNumberSerializer(serializers.Serializer):
    number = serializers.CharField(help_text="The virtual number.")
    status = serializers.ChoiceField(NumberState.choices, help_text="Only an active number gets new conversations.")
    pool = serializers.CharField(allow_null=True, help_text="Null: the common pool.")


class FoundConversationSerializer(serializers.Serializer):
    id = serializers.UUIDField(help_text="Its id.")
    reference = serializers.CharField(allow_blank=True, help_text="Your name for it.")
    pool = serializers.CharField(allow_null=True, help_text="Null: the common pool.")
    status = serializers.ChoiceField(ConversationState.values, help_text="One whose time is up is `closed`.")


class FoundParticipantSerializer(serializers.Serializer):
    position = serializers.IntegerField(help_text="From 0.")
    label = serializers.CharField(  # type: ignore[assignment]  # DRF's forms have this name, too
        allow_blank=True, help_text="The name that the others see."
    )
    proxy_number = serializers.CharField(help_text="The virtual number that this person texts.")


class FormerRouteSerializer(serializers.Serializer):
    conversation = FoundConversationSerializer()
    until = serializers.DateTimeField(help_text="When it released the pair.")


class AlternativeRouteSerializer(serializers.Serializer):
    number = serializers.CharField(help_text="A virtual number.")
    conversation_id = serializers.UUIDField(help_text="The conversation that a text to it would reach.")


class RouteSerializer(serializers.Serializer):
    """The answer. Its fields are those of RouteExplanation."""

    outcome = serializers.ChoiceField(InboundOutcome.choices, help_text="The outcome that the message would have.")
    why = serializers.CharField(help_text="The reason, in a sentence.")
    virtual_number = FoundNumberSerializer(allow_null=True, help_text="Null if it is not one of ours.")
    sender_is_known = serializers.BooleanField(help_text="Whether this person was ever in a conversation.")
    conversation = FoundConversationSerializer(allow_null=True, help_text="Null if the message would reach none.")
    author = FoundParticipantSerializer(allow_null=True, help_text="Who wrote.")
    recipients = FoundParticipantSerializer(many=True, help_text="Who would receive the message.")
    reopens = serializers.BooleanField(help_text="Whether the message would reopen the conversation.")
    cools_down_until = serializers.DateTimeField(allow_null=True, help_text="When the pair may go to others.")
    last = FormerRouteSerializer(allow_null=True, help_text="Without a conversation: the last one of this pair.")
    ways = AlternativeRouteSerializer(
        many=True, help_text="Without a conversation: other numbers by which the sender reaches somebody."
    )
    example: ClassVar[dict[str, Any]] = examples.ROUTE


class ExplainRoute(ApiView):
    """Explain a route. The person's number comes in a header, never in the URL, because URLs are logged."""

    @operation(
        "explain_route",
        "Explain where a message would go",
        description="Says what would happen now to a message from a real number to a virtual number, and why. Nothing "
        "is recorded.",
        parameters=ExplainParameters,
        headers=[FROM_NUMBER],
        answers={200: RouteSerializer},
    )
    def get(self, request: Request) -> Response:
        found = explain_route(_sender(request), self.parameters["to"], service_id=service_of(request))
        return Response(asdict(found), headers={"Cache-Control": "no-store"})


def _sender(request: Request) -> str:
    """Return the sender's number in E.164. The problem does not repeat what was found."""
    if FROM_NUMBER.name not in request.headers:
        raise header_problem(FROM_NUMBER.name, "required", "Expected the sender's number, in E.164 form.")
    try:
        return parse_e164(request.headers[FROM_NUMBER.name])
    except NotE164 as error:
        raise header_problem(FROM_NUMBER.name, "not_e164", sentence(error)) from None
