"""REST API: block people in the conversations of the service, and end blocks.

Numbers are in bodies only, never in an address. A service sees its own blocks, also those that staff made for it. It
cannot end the latter, and it does not see their reasons.
"""

from typing import Any, ClassVar, Final, Literal
from uuid import UUID

from django.db import transaction
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.generics import ListAPIView, RetrieveAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from conversations.api import examples
from conversations.api.fields import RealNumberField, ReferenceField
from conversations.models import Block
from conversations.models.block import BlockQuerySet
from conversations.trust.blocks import (
    REASON_LENGTH,
    AlreadyBlocked,
    CannotBlock,
    block_pair,
    block_person,
    checked_reason,
    checked_until,
)
from numbers.models import RealNumber, VirtualNumber
from smsproxy.api.authentication import caller, service_of
from smsproxy.api.fields import ChoiceField, DateTimeField, E164Field, StrictSerializer
from smsproxy.api.idempotency import Once
from smsproxy.api.models import ACTOR_PREFIX
from smsproxy.api.pagination import NewestFirst, PageParameters
from smsproxy.api.problems import Problem
from smsproxy.api.schema import operation
from smsproxy.api.views import ApiView
from smsproxy.opaque_ids import IdKind, row_id
from smsproxy.phone import E164_EXAMPLE
from smsproxy.states import StaleState
from smsproxy.values import sentence

ACTIVE: Final = "active"
ENDED: Final = "ended"
_BLOCK_PATH = {"public_id": "The block's id."}


class BlockFilters(PageParameters):
    """Query parameters of the list."""

    status = ChoiceField([ACTIVE, ENDED], required=False, help_text="Only blocks of this status.")


class NewBlockSerializer(StrictSerializer):
    """A person to block towards everybody or, with other_number, two people towards each other."""

    number = E164Field(help_text="The person's number.")
    other_number = E164Field(
        required=False,
        allow_null=True,
        default=None,
        help_text="The other person of a pair. Without it, the person is blocked towards everybody.",
    )
    reason = ReferenceField(max_length=REASON_LENGTH, help_text="For your staff and ours, without a phone number.")
    until = DateTimeField(
        required=False, allow_null=True, default=None, help_text="The end of the block. Without it, the block stays."
    )

    example: ClassVar[dict[str, Any]] = {"number": E164_EXAMPLE, "reason": "Threats, reported by the driver."}

    def validate_reason(self, reason: str) -> str:
        try:
            return checked_reason(reason)
        except CannotBlock as error:
            raise serializers.ValidationError(sentence(error), code="reason_not_valid") from None

    def validate_until(self, until: Any) -> Any:
        try:
            return checked_until(until)
        except CannotBlock as error:
            raise serializers.ValidationError(sentence(error), code="not_in_future") from None

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        numbers = {name: asked[name] for name in ("number", "other_number") if asked[name]}
        ours = VirtualNumber.objects.rented_or_ordered().by_number(numbers.values())
        wrong = ErrorDetail("Expected a person's own number, found one of our virtual numbers.", code="virtual_number")
        if errors := {name: [wrong] for name, number in numbers.items() if number in ours}:
            raise serializers.ValidationError(errors)
        return asked


class EndingSerializer(StrictSerializer):
    reason = ReferenceField(
        max_length=REASON_LENGTH, required=False, allow_blank=True, default="", help_text="Why the block ends."
    )
    example: ClassVar[dict[str, Any]] = {"reason": "It was a mistake."}


class BlockSerializer(serializers.ModelSerializer):
    id = serializers.UUIDField(source="public_id", help_text="The block's id.")
    status = serializers.SerializerMethodField(help_text="`active` or `ended`.")
    number = RealNumberField(
        source="person.number",
        default=None,
        allow_null=True,
        help_text="The person's number. Null for a block of a prefix, or if it cannot be decrypted.",
    )
    other_number = RealNumberField(
        source="other.number", default=None, allow_null=True, help_text="The other person of a pair, or null."
    )
    created_by = serializers.SerializerMethodField(help_text="`api`, or `staff`.")
    reason = serializers.SerializerMethodField(help_text="The reason. Empty if it is one of staff.")
    ended_reason = serializers.SerializerMethodField(help_text="Why it ended. Empty if it is one of staff.")
    example: ClassVar[dict[str, Any]] = examples.BLOCK

    class Meta:
        model = Block
        fields = [
            "id",
            "status",
            "number",
            "other_number",
            "prefix",
            "reason",
            "created_by",
            "created_at",
            "until",
            "ended_at",
            "ended_reason",
        ]
        extra_kwargs = {
            "created_at": {"help_text": "When it was made."},
            "until": {"help_text": "When it ends by itself. Null: it stays until somebody ends it."},
            "ended_at": {"help_text": "When somebody ended it, or null."},
        }

    def get_status(self, block: Block) -> Literal["active", "ended"]:
        return ACTIVE if block.is_active else ENDED

    def get_created_by(self, block: Block) -> Literal["api", "staff"]:
        """Return "api", or "staff" for a block that staff made for the service."""
        return "api" if _is_by_api(block.created_by) else "staff"

    def get_reason(self, block: Block) -> str:
        """Return the reason, or "" if it is one of staff."""
        return block.reason if _is_by_api(block.created_by) else ""

    def get_ended_reason(self, block: Block) -> str:
        """Return the reason of its end, or "" if it is one of staff."""
        return block.ended_reason if _is_by_api(block.ended_by) else ""


class BlockList(ApiView, ListAPIView):
    """GET lists the blocks of the service, newest first. POST blocks a person or a pair."""

    serializer_class = BlockSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> BlockQuerySet:
        found = _blocks(self.request)
        if status := self.parameters.get("status"):
            found = found.active() if status == ACTIVE else found.exclude(pk__in=Block.objects.active())
        return found

    @operation(
        "list_blocks",
        "List blocks",
        description="The blocks of the service, newest first. Those that staff made for all services are not shown.",
        parameters=BlockFilters,
        answers={200: BlockSerializer(many=True)},
        problems=["cursor_invalid"],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)

    @operation(
        "create_block",
        "Block a person or a pair",
        description="From now on, their texts in conversations of this service are stored and not passed on, and no "
        "new conversation begins with them. What is queued from them is cancelled.",
        request=NewBlockSerializer,
        answers={201: BlockSerializer},
        problems=["already_blocked"],
        creates=True,
    )
    def post(self, request: Request) -> Response:
        asked = NewBlockSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        once = Once.of(request)
        with transaction.atomic():
            once.begin()
            block = _create(asked.validated_data, service_of(request), caller(request).actor)
            where = reverse("block", kwargs={"public_id": block.public_id}, request=request)
            return once.finish(201, BlockSerializer(block).data, where)


class BlockDetail(ApiView, RetrieveAPIView):
    serializer_class = BlockSerializer

    @operation("read_block", "Read a block", path=_BLOCK_PATH, answers={200: BlockSerializer})
    def get(self, request: Request, public_id: UUID) -> Response:
        """The block as it is now."""
        return Response(BlockSerializer(_block(request, public_id)).data)


class EndBlock(ApiView):
    """End a block. Ending an ended one changes nothing and succeeds, so a caller may retry."""

    @operation(
        "end_block",
        "End a block",
        request=EndingSerializer,
        path=_BLOCK_PATH,
        answers={200: BlockSerializer},
        problems=["block_of_staff"],
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        asked = EndingSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        block = _block(request, public_id)
        if not _is_by_api(block.created_by):
            raise Problem(
                409,
                "Staff made this block",
                "Only staff can end this block. Ask them to, and name its id.",
                code="block_of_staff",
            )
        try:
            block.end(reason=asked.validated_data["reason"], actor=caller(request).actor)
        except StaleState:
            block.refresh_from_db()
        return Response(BlockSerializer(block).data)


def _create(asked: dict[str, Any], service_id: int, actor: str) -> Block:
    """Create the block. Raises Problem if it is active already."""
    rows = RealNumber.objects.get_or_create_many([asked["number"], *filter(None, [asked["other_number"]])])
    person, other = rows[asked["number"]], rows.get(asked["other_number"])
    terms: dict[str, Any] = {
        "reason": asked["reason"],
        "until": asked["until"],
        "actor": actor,
        "service_id": service_id,
    }
    try:
        return block_pair(person, other, **terms) if other else block_person(person, **terms)
    except AlreadyBlocked as error:
        raise Problem(
            409,
            "The block exists",
            "A block of the same people is active in this service. End that one first, to change its reason or end.",
            code="already_blocked",
            extra={"block_id": error.block.public_id},
        ) from None
    except CannotBlock as error:
        wrong = ErrorDetail(sentence(error), code="same_person_twice")
        raise serializers.ValidationError({"other_number": [wrong]}) from None


def _blocks(request: Request) -> BlockQuerySet:
    found: BlockQuerySet = Block.objects.filter(service=service_of(request)).select_related("person", "other")
    return found


def _block(request: Request, public_id: UUID) -> Block:
    found = row_id(IdKind.BLOCK, str(public_id))
    block: Block = get_object_or_404(_blocks(request), pk=found[0] if found else 0)
    return block


def _is_by_api(actor: str) -> bool:
    return actor.startswith(ACTOR_PREFIX)
