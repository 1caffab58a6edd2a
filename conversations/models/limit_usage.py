"""The use of limits: how much a person, a conversation or an API key has used of what it may use."""

from django.db import models


class LimitScope(models.TextChoices):
    """What a limit counts. The subject is the person, the conversation or the API key, by id."""

    PERSON = "person", "messages of a person"
    CONVERSATION = "conversation", "messages in a conversation"
    NOTICES = "notices", "automatic answers to a person"
    KEYWORD_ANSWERS = "keyword_answers", "answers to keywords of a person"
    CREATIONS = "creations", "conversations created by an API key"
    NEW_PEOPLE = "new_people", "new people added by an API key"


class LimitUsage(models.Model):
    """One subject's use of a limit, by GCRA: see gcra.py. A limit has a short and a long period.

    Moments are seconds since 1970, so that one statement computes with them on both databases.
    """

    scope = models.CharField(max_length=20, choices=LimitScope.choices)
    subject_id = models.BigIntegerField()
    short_ready_at = models.FloatField(default=0, help_text="The moment when the whole short limit is free again.")
    long_ready_at = models.FloatField(default=0, help_text="The moment when the whole long limit is free again.")
    recent = models.TextField(
        blank=True, default="", db_default="", help_text="Of a conversation: its last messages, for the loop breaker."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "subject_id"], name="one_usage_of_a_limit")]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.subject_id}"
