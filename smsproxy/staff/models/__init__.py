"""What staff saw and did, and what they may see for some minutes."""

from smsproxy.staff.models.audit_entry import AuditAction, AuditedPerson, AuditEntry
from smsproxy.staff.models.reveal import Reveal, RevealKind

__all__ = ["AuditAction", "AuditEntry", "AuditedPerson", "Reveal", "RevealKind"]
