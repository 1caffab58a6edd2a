"""API keys, shown once and stored as a hash, and the answers that are kept by Idempotency-Key."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models.functions import Coalesce, Least
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from smsproxy import values
from smsproxy.api.scopes import DEFAULT_SCOPES, Scope, parse_scopes
from smsproxy.crypto import EncryptedTextField
from smsproxy.database.clock import DatabaseNow, database_now
from smsproxy.services.models import DEFAULT_SERVICE_ID, Service, default_service_id
from smsproxy.states import StaleState
from smsproxy.unreadable import EncryptedRow

PREFIX_LENGTH = 8
# Of the actor of a change by API. The names of members of staff have no space.
ACTOR_PREFIX = "API key "
# How long a rotated key works beside its successor.
DEFAULT_OVERLAP = timedelta(days=7)


def _hash(key: str) -> str:
    # A fast hash is enough: the key is 256 random bits, not a password.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class KeyStatus(models.TextChoices):
    VALID = "valid", _("Valid")
    ROTATED = "rotated", _("Rotated")
    """Another key has its name. It still opens the API until it expires."""
    EXPIRED = "expired", _("Expired")
    REVOKED = "revoked", _("Revoked")


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def valid(self) -> Self:
        return self.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=DatabaseNow()), revoked_at=None)

    def current(self) -> Self:
        """Return the keys that hold their name: no newer key of their service has taken it."""
        return self.filter(revoked_at=None, rotated_at=None)

    def find(self, key: str) -> "ApiKey | None":
        """Return the key with this text, whatever its status, or None. `read_at` is the database's time."""
        kind, _, rest = key.partition("_")
        prefix, _, secret = rest.partition("_")
        if kind != "sp" or not secret or not prefix.isalnum() or not prefix.isascii():
            return None
        found: ApiKey | None = self.filter(prefix=prefix).annotate(read_at=DatabaseNow()).first()
        return found if found and constant_time_compare(found.key_hash, _hash(key)) else None

    def issue(
        self,
        name: str,
        *,
        service: Service | None = None,
        scopes: str = DEFAULT_SCOPES,
        expires_at: datetime | None = None,
        requests_per_minute: int | None = None,
    ) -> tuple["ApiKey", str]:
        """Create a key and return it with its text, which is not stored. service: None is the default service."""
        row = self.model(
            name=name,
            service_id=service.pk if service else DEFAULT_SERVICE_ID,
            scopes=scopes,
            expires_at=expires_at,
            requests_per_minute=requests_per_minute,
        )
        text = row.generate()
        row.full_clean()
        row.save(force_insert=True)
        return row, text


class ApiKey(models.Model):
    """A key with which one marketplace backend calls the API. It sees its own service only."""

    service = models.ForeignKey(
        Service,
        models.PROTECT,
        default=default_service_id,
        db_default=models.Value(DEFAULT_SERVICE_ID),
        related_name="keys",
    )
    name = models.CharField(max_length=100, help_text="The owner's name.")
    prefix = models.CharField(
        max_length=PREFIX_LENGTH, unique=True, help_text="The first part of the key, which identifies it."
    )
    key_hash = models.CharField(max_length=64)
    scopes = models.CharField(
        max_length=100, default=DEFAULT_SCOPES, db_default=DEFAULT_SCOPES, help_text="Separated by spaces."
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Its rate limit. Empty: API_REQUESTS_PER_KEY_MINUTE. 0: no limit."
    )
    rate_ready_at = models.FloatField(
        default=0, db_default=0, editable=False, help_text="The moment when the whole rate limit is free again."
    )
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire.")
    rotated_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since then, another key has its name."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    # The database's time of the read. Only `find` sets it.
    read_at: datetime

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["service", "name"],
                condition=models.Q(revoked_at__isnull=True, rotated_at__isnull=True),
                name="one_key_of_a_name",
                violation_error_message="A key of this name exists. Choose another name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_authenticated(self) -> bool:
        """Return True: a key that was found is an authenticated caller to Django and DRF."""
        return True

    @property
    def actor(self) -> str:
        """The key as the actor of what it changes."""
        return f"{ACTOR_PREFIX}{self.name}"

    def clean(self) -> None:
        if not self.name.isprintable():
            raise ValidationError({"name": "Expected one line without control characters."})
        try:
            self.scopes = parse_scopes(self.scopes)
        except values.InvalidValue as error:
            raise ValidationError({"scopes": values.sentence(error)}) from None

    def has_scope(self, scope: Scope) -> bool:
        return scope in self.scopes.split()

    def status(self, at: datetime) -> KeyStatus:
        if self.revoked_at is not None:
            return KeyStatus.REVOKED
        if self.expires_at is not None and self.expires_at <= at:
            return KeyStatus.EXPIRED
        return KeyStatus.VALID if self.rotated_at is None else KeyStatus.ROTATED

    def generate(self) -> str:
        """Give this unsaved key a prefix and a secret. Return its text "sp_<prefix>_<secret>", which is not stored."""
        self.prefix = secrets.token_hex(PREFIX_LENGTH // 2)
        text = f"sp_{self.prefix}_{secrets.token_urlsafe(32)}"
        self.key_hash = _hash(text)
        return text

    def rotate(self, *, overlap: timedelta) -> tuple["ApiKey", str]:
        """Create a key with the same name, service, scopes and rate. Return it with its text, which is not stored.

        The present key expires after the overlap, or earlier if it would have. A key that was made to expire gets a
        successor with the same lifetime. Raises StaleState if the key is revoked, or already rotated.
        """
        now = database_now()
        end = now + overlap
        # "Least" of a null is a null on SQLite.
        expires_at = Least(Coalesce("expires_at", models.Value(end)), models.Value(end))
        lifetime = self.expires_at - self.created_at if self.expires_at else None
        with transaction.atomic():
            rows = type(self).objects.current().filter(pk=self.pk).update(rotated_at=now, expires_at=expires_at)
            if rows != 1:
                raise StaleState(f"API key {self.pk} is revoked or already rotated")
            return type(self).objects.issue(
                self.name,
                service=self.service,
                scopes=self.scopes,
                expires_at=now + lifetime if lifetime else None,
                requests_per_minute=self.requests_per_minute,
            )

    def revoke(self) -> None:
        """Reject the key from now on. Its row stays, because conversations refer to it as their creator.

        Raises StaleState if the key is already revoked.
        """
        if not type(self).objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=database_now()):
            raise StaleState(f"API key {self.pk} is already revoked")


class IdempotencyRecord(EncryptedRow):
    """The answer to a request with an Idempotency-Key, kept for a day to answer its repeats.

    It is inserted in the transaction of the work that it answers. The answer may hold real numbers.
    """

    service = models.ForeignKey(Service, models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=255, help_text="The Idempotency-Key of the request.")
    request_hash = models.CharField(max_length=64, help_text="Detects a key that is reused for a different request.")
    status = models.PositiveSmallIntegerField(help_text="The status of the answer.")
    location = models.CharField(max_length=300, blank=True, help_text="The header of that name.")
    body = EncryptedTextField(blank=True, help_text="The answer, in JSON.")
    created_at = models.DateTimeField(default=database_now)

    class Meta:
        ordering = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["service", "key"], name="one_answer_for_an_idempotency_key")
        ]
        indexes: ClassVar = [models.Index("created_at", name="idempotency_record_age")]

    def __str__(self) -> str:
        return f"answer {self.pk}"
