"""REST API: create, list and read conversations."""

from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.answers import ConversationSerializer
from conversations.api.creation import answer_creation
from conversations.models import Conversation, ConversationState
from conversations.models.conversation import ConversationQuerySet
from smsproxy.api.authentication import service_of
from smsproxy.api.fields import ChoiceField, StrictSerializer
from smsproxy.api.pagination import NewestFirst


class ListFilters(StrictSerializer):
    """Query parameters of the list."""

    reference = serializers.CharField(max_length=100, required=False)
    status = ChoiceField(ConversationState.values, required=False)
    cursor = serializers.CharField(max_length=500, required=False)
    page_size = serializers.CharField(max_length=20, required=False)


class ConversationList(ListAPIView):
    """GET lists conversations, newest first. POST creates one."""

    serializer_class = ConversationSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> ConversationQuerySet:
        filters = ListFilters(data=self.request.query_params)
        filters.is_valid(raise_exception=True)
        found: ConversationQuerySet = Conversation.objects.with_participants().filter(service=service_of(self.request))
        if reference := filters.validated_data.get("reference"):
            found = found.filter(reference=reference)
        if status := filters.validated_data.get("status"):
            found = found.open_now() if status == ConversationState.OPEN else found.ended()
        return found

    def post(self, request: Request) -> Response:
        return answer_creation(request)


class ConversationDetail(RetrieveAPIView):
    serializer_class = ConversationSerializer
    lookup_field = "public_id"

    def get_queryset(self) -> ConversationQuerySet:
        return Conversation.objects.with_participants().filter(service=service_of(self.request))
