"""API keys, shown once and stored as a hash."""

import hashlib
import secrets
from typing import Self

from django.db import models
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from smsproxy.states import StaleState

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
    """A key with which one marketplace backend calls the API."""

    name = models.CharField(
        max_length=100,
        unique=True,
        help_text="The owner's name.",
        error_messages={"unique": "A key of this name exists. Choose another name."},
    )
    prefix = models.CharField(
        max_length=PREFIX_LENGTH, unique=True, help_text="The first part of the key, which identifies it."
    )
    key_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["name"]

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
