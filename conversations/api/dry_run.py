"""REST API: which numbers a conversation would get."""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api import examples
from conversations.api.creation import refusals_as_problems, service_of_caller
from conversations.api.refusals import CREATION_PROBLEMS
from conversations.api.requests import NewConversationSerializer
from conversations.lifecycle.create import dry_run
from numbers.assignment.choose import Preference
from smsproxy.api.schema import operation
from smsproxy.api.views import ApiView


class ChosenNumberSerializer(serializers.Serializer):
    label = serializers.CharField(  # type: ignore[assignment]  # DRF has an attribute of that name for its forms
        help_text="As requested."
    )
    number = serializers.CharField(help_text="The person's real number, as requested.")
    proxy_number = serializers.CharField(help_text="The virtual number that they would text.")
    proxy_country = serializers.CharField(help_text="Country of that number, ISO 3166-1 alpha-2.")
    chosen_by = serializers.ChoiceField([each.value for each in Preference], help_text="Why this number.")


class DryRunSerializer(serializers.Serializer):
    participants = ChosenNumberSerializer(many=True, help_text="In the order of the request.")
    example: ClassVar[dict[str, Any]] = examples.DRY_RUN


class DryRun(ApiView):
    """Return the numbers a conversation would get, and by which preference. The body is that of a creation."""

    scopes = {"POST": "read"}

    @operation(
        "dry_run",
        "Show which numbers people would get",
        request=NewConversationSerializer,
        answers={200: DryRunSerializer},
        problems=[*CREATION_PROBLEMS, "already_talking", "reference_taken"],
    )
    def post(self, request: Request) -> Response:
        asked = NewConversationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        people = asked.people()
        service = service_of_caller(request)
        with refusals_as_problems(people):
            chosen = dry_run(people, asked.terms(service), service_id=service.pk)
        return Response(
            {
                "participants": [
                    {
                        "label": person.label,
                        "number": person.number,
                        "proxy_number": each.number.number,
                        "proxy_country": each.number.country,
                        "chosen_by": each.preference,
                    }
                    for person, each in zip(people, chosen, strict=True)
                ]
            }
        )
