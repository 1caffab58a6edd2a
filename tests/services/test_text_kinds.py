"""The rules of a text of ours, the same in the settings, of a service and of a conversation."""

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError

from smsproxy.services.models import Service, ServiceText
from smsproxy.text_kinds import KIND_OF_SETTING, TextKind, check_language, check_template
from tests.support.settings_file import read_settings


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (TextKind.CONFIRMATION, "Responda para falar com {label}.\nPARE para sair"),
        (TextKind.TOO_LONG, "{segments} de {most}"),
        (TextKind.HELP_ANSWER, "{operator}: {contact}"),
        (TextKind.ENDED, ""),
        (TextKind.ENDED, "curly { is allowed"),
    ],
)
def test_a_text_may_have_the_placeholders_of_its_kind(kind, text):
    assert check_template(kind, f" {text} ") == text


@pytest.mark.parametrize(
    ("kind", "text", "error"),
    [
        (TextKind.CONFIRMATION, "Talk to {lable}", "expected only {label} in braces, found '{lable}'"),
        (TextKind.TOO_LONG, "{label}", "expected only {segments} and {most} in braces, found '{label}'"),
        (TextKind.ENDED, "{label} has ended", "expected no braces, found '{label}'"),
        (TextKind.ENDED, "x" * 1001, "expected at most 1000 characters, found '1001 characters'"),
        (TextKind.ENDED, "a\x00b", "expected a text without control characters, found 'U+0000'"),
    ],
)
def test_a_text_that_people_would_get_with_a_mistake_in_it_is_refused(kind, text, error):
    with pytest.raises(ValueError, match="expected") as found:
        check_template(kind, text)

    assert str(found.value) == error


@pytest.mark.parametrize(
    ("text", "tag"), [("pt", "pt"), ("PT-br", "pt-BR"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419")]
)
def test_a_language_is_stored_in_its_usual_spelling(text, tag):
    assert check_language(text) == tag


@pytest.mark.parametrize("text", ["", "portuguese", "pt_BR", "p", "pt-", "pt-BR-x-slang", "pt\n"])
def test_what_is_no_language_is_refused(text):
    with pytest.raises(ValueError, match="expected a language, with or without a script and a region"):
        check_language(text)


def test_a_setting_with_a_wrong_text_stops_the_program_and_is_named():
    for setting in KIND_OF_SETTING:
        with pytest.raises(ImproperlyConfigured, match=f"{setting}: expected .*, found '{{nobody}}'"):
            read_settings(**{setting: "Hello {nobody}"})


def test_a_wrong_text_of_a_service_is_refused_at_the_field_that_is_wrong(db):
    rides = Service.objects.create(name="rides")
    for fields, field in [
        ({"kind": "ended", "text": "{label}"}, "text"),
        ({"kind": "welcome", "text": ""}, "kind"),
        ({"kind": "ended", "text": "", "language": "Portuguese!"}, "language"),
    ]:
        with pytest.raises(ValidationError) as found:
            ServiceText(service=rides, **fields).full_clean()

        assert list(found.value.message_dict) == [field]


def test_the_numbers_of_a_service_are_checked(db):
    with pytest.raises(ValidationError, match="at least the 10 people of the largest conversation"):
        Service(name="rides", new_people_per_day=9).full_clean()
    with pytest.raises(ValidationError, match="Expected a language"):
        Service(name="rides", language="?").full_clean()
    Service(name="rides", new_people_per_day=0, new_people_per_minute=10, language="pt-BR").full_clean()
