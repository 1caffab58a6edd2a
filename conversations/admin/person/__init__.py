"""What conversations add to the page of a person: see numbers/admin/person_sections.py."""

from conversations.admin.person import sections  # noqa: F401  (registers)
