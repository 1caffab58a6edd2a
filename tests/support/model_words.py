"""List the words of our models for gettext: `python -m tests.support.model_words`, which `make messages` runs."""

import json
import subprocess
import sys
from pathlib import Path

import django

from smsproxy import translated_models
from tests.support.demo_process import ROOT


def path(folder: str) -> Path:
    return ROOT / "smsproxy" / "model_words" / f"{folder}.py"


def source(folder: str) -> str:
    """Return the module with the words of the models in this folder, formatted by ruff."""
    words = sorted(translated_models.words[folder])
    code = (
        f'"""The words of the models in {folder}/, for gettext. `make messages` writes this module."""\n\n'
        "from django.utils.translation import gettext_noop as _\n\n"
        f"WORDS = [{''.join(f'_({json.dumps(word, ensure_ascii=False)}),' for word in words)}]\n"
    )
    ruff = [sys.executable, "-m", "ruff", "format", "--line-length", "120", "-"]
    return subprocess.run(ruff, input=code, capture_output=True, text=True, check=True, cwd=ROOT).stdout


if __name__ == "__main__":
    django.setup()
    for each in translated_models.OURS:
        path(each).write_text(source(each))
