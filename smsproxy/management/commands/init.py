"""`manage.py init`: ask what an installation needs, make its keys, and write .env with mode 600."""

import getpass
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from smsproxy.first_setup import env_file, throwaway
from smsproxy.first_setup.questions import QUESTIONS, Question, check, with_password

USAGE = 2
PATIENCE = 60  # seconds for the check of the new settings


class Command(BaseCommand):
    # It writes the settings that the checks would read.
    requires_system_checks: list[str] = []
    help = (
        "Ask what an installation needs, make its keys, and write .env, readable for its owner only. An existing file "
        "keeps its keys and its other lines. Secrets are typed without being shown, or taken from the environment "
        "variables of the same name: a flag would be visible to other users."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", type=Path, help="the file to write (default: ENV_FILE, or .env beside manage.py)")
        parser.add_argument(
            "--no-input",
            action="store_true",
            help="ask nothing: the answers come from the flags, the environment and the existing file",
        )
        parser.add_argument("--update", action="store_true", help="change an existing file without asking")
        parser.add_argument(
            "--compose", action="store_true", help="use the PostgreSQL of compose.yaml, and make its password"
        )
        for question in QUESTIONS:
            if not question.is_secret:
                parser.add_argument(_flag(question), dest=question.variable, metavar="VALUE", help=question.words)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (KeyboardInterrupt, EOFError):
            raise CommandError("Interrupted: nothing was written.", returncode=USAGE) from None

    def handle(self, *, no_input: bool, update: bool, compose: bool, **options: Any) -> None:
        if not no_input and not sys.stdin.isatty():
            raise CommandError("Nothing was written: no terminal to ask on. Add --no-input.", returncode=USAGE)
        file: Path = options["file"] or Path(throwaway.given.get("ENV_FILE") or settings.BASE_DIR / ".env")
        present = env_file.read(file)
        if file.exists() and not update:
            self._ask_to_change(file, no_input)
        given = {**present, **throwaway.given, **{name: value for name, value in options.items() if value is not None}}
        if compose:
            password = present.get("POSTGRES_PASSWORD") or secrets.token_urlsafe(24)
            given |= {
                "POSTGRES_PASSWORD": password,
                "DATABASE_URL": f"postgres://smsproxy:{password}@database:5432/smsproxy",
            }
        answers = self._answers(given, settled={"DATABASE_URL"} if compose else set(), ask=not no_input)
        # Keys that only the environment has are in use, so a backup of the file must have them.
        old = {**throwaway.given, **{name: value for name, value in present.items() if value}}
        keys = {name: old.get(name) or made for name, made in throwaway.make_keys().items()}
        values = {**keys, **_completed(answers, present)}
        if compose:
            values["POSTGRES_PASSWORD"] = given["POSTGRES_PASSWORD"]
        try:
            env_file.write(file, values, verify=_verify)
        except (env_file.CannotBeWritten, OSError) as error:
            raise CommandError(f"Nothing was written: {error}") from None
        made = [name for name in keys if not old.get(name)]
        self._tell(file, made, answers, compose=compose)

    def _ask_to_change(self, file: Path, no_input: bool) -> None:
        if no_input:
            raise CommandError(
                f"Nothing was written: {file} exists. Add --update to change it. Its keys and its other lines stay.",
                returncode=USAGE,
            )
        self.stdout.write(f"{file} exists. Its keys and its other lines stay; your answers replace the present ones.")
        if input("Change it? [y/N] ").strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was written.", returncode=USAGE)

    def _answers(self, given: Mapping[str, str], settled: set[str], *, ask: bool) -> dict[str, str]:
        """Return the answer to each question that matters. settled: variables that are not asked about."""
        answers: dict[str, str] = {}
        errors = []
        for question in QUESTIONS:
            if not question.is_asked(answers):
                continue
            answer = given.get(question.variable, "" if ask else question.default)
            if ask and question.variable not in settled:
                answers[question.variable] = self._ask(question, answer)
                continue
            try:
                check(question, answer)
            except ImproperlyConfigured as error:
                errors.append(f"{error} {_where(question)}".strip())
            answers[question.variable] = answer
        if errors:
            raise CommandError("Nothing was written.\n" + "\n".join(errors), returncode=USAGE)
        if password := answers.pop("DATABASE_PASSWORD", ""):
            answers["DATABASE_URL"] = with_password(answers["DATABASE_URL"], password)
        return answers

    def _ask(self, question: Question, present: str) -> str:
        """Ask until the answer can be used. An empty answer keeps the present value, or the default."""
        fallback = present or question.default
        hint = ("keep the present one" if question.is_secret else _without_password(fallback)) if fallback else ""
        prompt = f"{question.words}{f' [{hint}]' if hint else ''}: "
        while True:
            answer = (getpass.getpass(prompt) if question.is_secret else input(prompt)).strip() or fallback
            try:
                check(question, answer)
            except ImproperlyConfigured as error:
                self.stdout.write(f"  {error}")
            else:
                return answer

    def _tell(self, file: Path, made: list[str], answers: Mapping[str, str], *, compose: bool) -> None:
        """Say what was done, and what remains to be done. Never print a secret."""
        self.stdout.write(f"Written: {file}, readable for its owner only.")
        if made:
            self.stdout.write(f"New keys: {', '.join(made)}.")
        self.stdout.write(
            "Back this file up now, apart from the database. Without ENCRYPTION_KEYS and NUMBER_HASH_KEY, stored "
            "numbers and texts cannot be read or found."
        )
        missing = [name for name in ("OPERATOR_NAME", "OPERATOR_CONTACT") if not answers.get(name)]
        if missing:
            self.stdout.write(f"Not set: {' and '.join(missing)}. The answers to STOP and HELP need both.")
        run = "docker compose exec web python" if compose else ".venv/bin/python"
        steps = [
            "docker compose up -d" if compose else 'start it: docs/go-live.md, "On a host"',
            f"{run} manage.py doctor, which tries everything and says what is missing",
        ]
        self.stdout.write("What remains:")
        self.stdout.write("\n".join(f"  {number}. {step}" for number, step in enumerate(steps, start=1)))


def _flag(question: Question) -> str:
    return f"--{question.variable.lower().replace('_', '-')}"


def _where(question: Question) -> str:
    """Return where an answer without a terminal comes from."""
    if question.is_secret:
        return f"Set the environment variable {question.variable}."
    return f"Add {_flag(question)}, or set {question.variable}."


def _without_password(value: str) -> str:
    parts = urlsplit(value)
    return value.replace(f":{parts.password}@", ":…@") if parts.password else value


def _completed(answers: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str]:
    """Return the answers, with the variables that follow from the public URL."""
    public = urlsplit(answers["PUBLIC_URL"])
    hosts = [host for host in present.get("ALLOWED_HOSTS", "").split(",") if host]
    completed = {**answers, "ALLOWED_HOSTS": ",".join(dict.fromkeys([*hosts, str(public.hostname)]))}
    if public.scheme == "https":
        # The proxies in deploy/ set X-Forwarded-Proto on every request.
        completed["BEHIND_TLS_PROXY"] = present.get("BEHIND_TLS_PROXY") or "true"
    return completed


def _verify(file: Path) -> None:
    """Raise CommandError unless the program starts with the settings in this file."""
    kept = {name: value for name, value in throwaway.given.items() if name in ("PATH", "HOME")}
    done = subprocess.run(  # noqa: S603  (our own program)
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "check", "--tag", "smsproxy"],
        env={**kept, "ENV_FILE": str(file)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if done.returncode:
        raise CommandError(f"Nothing was written: the program would not start with these settings.\n{done.stderr}")
