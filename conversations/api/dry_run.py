"""REST API: which numbers a conversation would get."""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from conversations.api.creation import service_of_caller
from conversations.api.refusals import cannot_create, too_many_at_once
from conversations.api.requests import NewConversationSerializer
from conversations.lifecycle.create import dry_run
from conversations.lifecycle.request import CannotCreate, ContentionError


class DryRun(APIView):
    """Return the numbers a conversation would get, and by which preference. The body is that of a creation."""

    scopes = {"POST": "read"}

    def post(self, request: Request) -> Response:
        asked = NewConversationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        people = asked.people()
        try:
            service = service_of_caller(request)
            chosen = dry_run(people, asked.terms(service).policy, service_id=service.pk)
        except ContentionError:
            raise too_many_at_once() from None
        except CannotCreate as error:
            raise cannot_create(error, people[error.position].label) from None
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
