"""Logs: the lines' two formats, the redaction of phone numbers, and the ids by which a message is followed."""

from smsproxy.logs.redaction import has_phone_number, redact
from smsproxy.logs.setup import logging_settings

__all__ = ["has_phone_number", "logging_settings", "redact"]
