"""The audit: who saw or did what, when and why. Rows are only ever added: see append_only.py."""

from typing import ClassVar, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from smsproxy.database.clock import database_now


class AuditAction(models.TextChoices):
    SAW = "saw", _("saw")
    """A page with personal data was shown."""
    REVEALED = "revealed", _("revealed")
    """A number or texts were uncovered for some minutes, for a reason."""
    FOUND = "found", _("found")
    """A person was found by their number."""
    DID = "did", _("did")
    """An act on an object, such as closing a conversation."""
    ADDED = "added", _("added")
    CHANGED = "changed", _("changed")
    DELETED = "deleted", _("deleted")
    EXPORTED = "exported", _("exported")
    SIGNED_IN = "signed_in", _("signed in")
    SIGNED_OUT = "signed_out", _("signed out")
    SIGN_IN_FAILED = "sign_in_failed", _("sign-in failed")
    REFUSED = "refused", _("refused")
    """A page or an act for which the person has no right."""


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    def about(self, object_type: str, object_id: object) -> Self:
        """Return the entries about this object. object_type: such as "conversations.conversation"."""
        return self.filter(object_type=object_type, object_id=str(object_id))

    def by(self, actor: str) -> Self:
        return self.filter(actor=actor)


class AuditEntry(models.Model):
    """One thing that a member of staff saw or did. It holds no number and no text."""

    at = models.DateTimeField(_("when"), default=database_now, editable=False)
    actor = models.CharField(_("who"), max_length=150, help_text=_("The user name of the member of staff."))
    action = models.CharField(_("action"), max_length=20, choices=AuditAction.choices)
    detail = models.CharField(
        _("what"), max_length=200, blank=True, help_text=_("What was seen or done, without numbers and texts.")
    )
    object_type = models.CharField(_("kind of object"), max_length=100, blank=True)
    object_id = models.CharField(_("id of the object"), max_length=40, blank=True)
    object_name = models.CharField(_("object"), max_length=200, blank=True, help_text=_("Its name, masked."))
    reason = models.CharField(_("why"), max_length=200, blank=True)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit")
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index("object_type", "object_id", "id", name="audit_of_object"),
            models.Index("actor", "id", name="audit_of_actor"),
            models.Index("action", "id", name="audit_of_action"),
            models.Index("actor", "action", "id", name="audit_of_actor_and_action"),
            models.Index("at", name="audit_at"),
        ]

    def __str__(self) -> str:
        return " ".join(filter(None, [self.actor, self.what, self.object_name]))

    @property
    def what(self) -> str:
        """Return what was done, in words: the action and its detail."""
        action = str(self.get_action_display())
        if self.action == AuditAction.DID:
            return f"{action}: {self.detail.replace('_', ' ')}"  # The detail is the slug of an act.
        return f"{action} {self.detail}".strip()


class AuditedPerson(models.Model):
    """A person whom an entry concerns. person_id: of their real number's row, which may be deleted before this."""

    entry = models.ForeignKey(AuditEntry, models.PROTECT, related_name="people", db_index=False)
    person_id = models.BigIntegerField()

    class Meta:
        verbose_name = _("person of an audit entry")
        verbose_name_plural = _("people of audit entries")
        constraints: ClassVar = [models.UniqueConstraint(fields=["entry", "person_id"], name="audited_once")]
        indexes: ClassVar = [models.Index("person_id", "entry", name="audit_of_person")]

    def __str__(self) -> str:
        return f"person {self.person_id} of entry {self.entry_id}"
