"""Each marked string has a German translation, with the same placeholders, and the compiled file is up to date."""

import re

import pytest
from django.conf import settings

from smsproxy.translated_models import OURS
from tests.support import model_words
from tests.support.demo_process import ROOT
from tests.support.translations import APPS, LOCALE, compiled, marked, read_po

LANGUAGES = [code for code, _ in settings.LANGUAGES if not code.startswith("en")]
_PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")
each_language = pytest.mark.parametrize("language", LANGUAGES)


def po(language):
    return LOCALE / language / "LC_MESSAGES" / "django.po"


@each_language
def test_the_compiled_file_is_that_of_the_source(language):
    """If not: make compilemessages."""
    assert compiled(po(language).with_suffix(".mo")) == read_po(po(language))


@each_language
def test_a_translation_has_the_placeholders_of_its_string(language):
    def placeholders(text):
        return set(_PLACEHOLDER.findall(text))

    # A plural may have one more, the count. Its first form is the singular.
    wrong = [
        text
        for text, (first, *plural) in read_po(po(language)).items()
        if placeholders(first) != placeholders(text)
        or not all(placeholders(each) >= placeholders(text) for each in plural)
    ]

    assert wrong == []


@each_language
def test_each_marked_string_is_translated(language):
    """If not: make messages, translate the empty ones, make compilemessages."""
    known = read_po(po(language))

    assert {text: place for text, place in marked().items() if text not in known} == {}


@pytest.mark.parametrize("folder", OURS)
def test_the_words_of_the_models_are_listed_for_translation(folder):
    """If not: make messages."""
    assert model_words.path(folder).read_text() == model_words.source(folder)


def test_marked_strings_are_found_in_code_and_in_templates():
    found = marked()

    assert found["Conversations"] == "smsproxy/cockpit/doors.py"
    assert found["Scan this with an authenticator app"].endswith("set_up.html")
    # Plurals, and strings over several lines.
    assert any(text.startswith("You are signed in as %(name)s, who may not") for text in found)


def test_no_function_has_a_name_that_gettext_does_not_know():
    """xgettext finds strings by the name of the function. An alias other than _ hides them."""
    aliases = [
        f"{path}: {name}"
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        for name in re.findall(r"import n?p?gettext(?:_lazy)? as (\w+)", path.read_text())
        if name != "_"
    ]

    assert aliases == []


def test_a_po_file_is_read(tmp_path):
    file = tmp_path / "django.po"
    file.write_text(
        'msgid ""\nmsgstr ""\n"Language: de\\n"\n\n#: a.py:1\nmsgid "One"\nmsgstr "Eins"\n\n'
        'msgid ""\n"Two "\n"lines"\nmsgstr "Zwei \\"Zeilen\\""\n\nmsgid "Empty"\nmsgstr ""\n\n'
        '#, fuzzy\nmsgid "Unsure"\nmsgstr "Unsicher"\n\n#~ msgid "Gone"\n#~ msgstr "Weg"\n\n'
        'msgid "%(n)s text"\nmsgid_plural "%(n)s texts"\nmsgstr[0] "%(n)s SMS"\nmsgstr[1] "%(n)s SMSen"\n'
    )

    assert read_po(file) == {
        "One": ["Eins"],
        "Two lines": ['Zwei "Zeilen"'],
        "%(n)s text": ["%(n)s SMS", "%(n)s SMSen"],
    }
