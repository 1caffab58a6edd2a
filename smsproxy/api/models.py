"""API keys, shown once and stored as a hash, and the answers that are kept by Idempotency-Key."""

import hashlib
import secrets
from typing import ClassVar, Self

from django.db import models
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from smsproxy.crypto import EncryptedTextField
from smsproxy.database.clock import database_now
from smsproxy.services.models import DEFAULT_SERVICE_ID, Service, default_service_id
from smsproxy.states import StaleState
from smsproxy.unreadable import EncryptedRow

PREFIX_LENGTH = 8


def _hash(key: str) -> str:
    # A fast hash is enough: the key is 256 random bits, not a password.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def valid(self) -> Self:
        return self.filter(revoked_at__isnull=True)

    def find(self, key: str) -> "ApiKey | None":
        """Return the valid key with this text, or None."""
        kind, _, rest = key.partition("_")
        prefix, _, secret = rest.partition("_")
        if kind != "sp" or not secret or not prefix.isalnum() or not prefix.isascii():
            return None
        found = self.valid().filter(prefix=prefix).first()
        return found if found and constant_time_compare(found.key_hash, _hash(key)) else None

    def issue(self, name: str) -> tuple["ApiKey", str]:
        """Create a key and return it with its text "sp_<prefix>_<secret>", which is not stored."""
        prefix = secrets.token_hex(PREFIX_LENGTH // 2)
        key = f"sp_{prefix}_{secrets.token_urlsafe(32)}"
        row = self.model(name=name, prefix=prefix, key_hash=_hash(key))
        row.full_clean()
        row.save()
        return row, key


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
        max_length=100, default="read write", db_default="read write", help_text="Separated by spaces."
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

    def revoke(self) -> None:
        """Reject the key from now on. Its row stays, because conversations refer to it as their creator.

        Raises StaleState if the key is already revoked.
        """
        if not type(self).objects.valid().filter(pk=self.pk).update(revoked_at=timezone.now()):
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
