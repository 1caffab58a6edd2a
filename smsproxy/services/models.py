"""Services, and the texts that each has of its own."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.management.color import no_style
from django.db import connections, models
from django.utils import timezone
from django.utils.translation import gettext as _

from smsproxy.text_kinds import MAX_TEMPLATE_LENGTH, TextKind, check_language, check_template
from smsproxy.values import InvalidValue, sentence

# The service that exists without being created. Rows of a single-service installation belong to it.
# As an int, it would be the type of the foreign keys that have it as a default.
DEFAULT_SERVICE_ID: Any = 1
LANGUAGE_LENGTH = 35
MAX_TTL = 366 * 24 * 3600
"""The most seconds from now to the end of a conversation."""
# The columns of a service's limits, each with the setting that applies if it is empty.
LIMITS = {
    "messages_per_person_minute": "MESSAGES_PER_PERSON_MINUTE",
    "messages_per_person_day": "MESSAGES_PER_PERSON_DAY",
    "messages_per_conversation_minute": "MESSAGES_PER_CONVERSATION_MINUTE",
    "creations_per_minute": "CREATIONS_PER_SERVICE_MINUTE",
    "creations_per_day": "CREATIONS_PER_SERVICE_DAY",
    "new_people_per_minute": "NEW_PEOPLE_PER_SERVICE_MINUTE",
    "new_people_per_day": "NEW_PEOPLE_PER_SERVICE_DAY",
}
MAX_SERVICES_NAMED = 20  # in one error
_LARGEST_GROUP = 10  # MAX_PARTICIPANTS of conversations, which are above services


def default_service_id() -> int:
    """Return the id of the default service, as the default of foreign keys."""
    return int(DEFAULT_SERVICE_ID)


class ServiceQuerySet(models.QuerySet["Service"]):
    def named(self, name: str) -> "Service":
        """Return the service of this name. Raises InvalidValue, which names the services there are."""
        if found := self.filter(name=name).first() if "\0" not in name else None:
            return found
        names = ", ".join(self.order_by("name").values_list("name", flat=True)[:MAX_SERVICES_NAMED])
        raise InvalidValue(f"one of the services {names}", name)

    def ensure_default(self) -> None:
        """Insert the default service if it is missing."""
        _, is_new = self.get_or_create(pk=DEFAULT_SERVICE_ID, defaults={"name": "default"})
        if is_new:  # The id was given, so PostgreSQL's sequence does not know it.
            connection = connections[self.db]
            with connection.cursor() as cursor:
                for statement in connection.ops.sequence_reset_sql(no_style(), [Service]):
                    cursor.execute(statement)


class Service(models.Model):
    """One marketplace, brand or environment. Its values are the defaults of its conversations.

    An empty value means the setting of the installation.
    """

    name = models.CharField(
        max_length=60,
        unique=True,
        help_text="Its name in commands and in this admin.",
        error_messages={"unique": "A service of this name exists. Choose another name."},
    )
    # No import: services are below numbers.
    pool = models.ForeignKey(
        "numbers.Pool",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The pool of its conversations. Empty: the common pool. Several services may share a pool.",
    )
    ttl = models.PositiveIntegerField(
        null=True, blank=True, help_text="Seconds until its conversations end. Empty: no limit."
    )
    geography = models.CharField(max_length=20, blank=True, default="", help_text="Empty: NUMBER_GEOGRAPHY.")
    late_messages = models.CharField(max_length=10, blank=True, default="", help_text="Empty: LATE_MESSAGE_POLICY.")
    language = models.CharField(
        max_length=LANGUAGE_LENGTH, blank=True, default="", help_text="The language of its texts, such as pt-BR."
    )
    messages_per_person_minute = models.PositiveIntegerField(null=True, blank=True)
    messages_per_person_day = models.PositiveIntegerField(null=True, blank=True)
    messages_per_conversation_minute = models.PositiveIntegerField(null=True, blank=True)
    creations_per_minute = models.PositiveIntegerField(null=True, blank=True)
    creations_per_day = models.PositiveIntegerField(null=True, blank=True)
    new_people_per_minute = models.PositiveIntegerField(null=True, blank=True)
    new_people_per_day = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = ServiceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        try:
            self.language = check_language(self.language) if self.language else ""
        except InvalidValue as error:
            raise ValidationError({"language": sentence(error)}) from None
        for name in ("new_people_per_minute", "new_people_per_day"):
            limit = getattr(self, name)
            if limit is not None and 0 < limit < _LARGEST_GROUP:
                raise ValidationError(
                    {
                        name: f"Expected 0 for no limit, or at least the {_LARGEST_GROUP} people of the largest "
                        f"conversation, found {limit}. Otherwise such a conversation could never be created."
                    }
                )


class ServiceText(models.Model):
    """A text of a service in one language, which replaces the text of the settings."""

    service = models.ForeignKey(Service, models.CASCADE, related_name="texts")
    language = models.CharField(
        max_length=LANGUAGE_LENGTH, blank=True, default="", help_text="Such as pt or pt-BR. Empty: any language."
    )
    kind = models.CharField(max_length=30)
    text = models.CharField(max_length=MAX_TEMPLATE_LENGTH, blank=True, help_text="Empty: this text is never sent.")

    class Meta:
        ordering = ["service", "kind", "language"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["service", "language", "kind"], name="one_text_of_a_kind_and_language")
        ]

    def __str__(self) -> str:
        any_language = _("any language")
        return f"{self.kind} ({self.language or any_language})"

    def clean(self) -> None:
        errors: dict[str, str] = {}
        if self.kind not in list(TextKind):
            errors["kind"] = f"Expected one of {', '.join(TextKind)}."
        else:
            try:
                self.text = check_template(TextKind(self.kind), self.text)
            except InvalidValue as error:
                errors["text"] = sentence(error)
        try:
            self.language = check_language(self.language) if self.language else ""
        except InvalidValue as error:
            errors["language"] = sentence(error)
        if errors:
            raise ValidationError(errors)
