"""The README, the tutorial and the examples of the API work against the demo."""

import re
import subprocess
import sys
import time
from collections import defaultdict

import pytest

from tests.support.demo_process import PATIENCE, ROOT, Demo
from tests.support.documentation import FENCE, blocks, doc, section


def run_blocks(shell_blocks, demo):
    """Run the blocks in one shell, against the demo, and return the finished process."""
    script = "\n".join(["set -euo pipefail", *shell_blocks])
    script = script.replace(".venv/bin/python", sys.executable).replace("http://127.0.0.1:8000/", demo.url)
    # The command exits 1 when something needs a person, which is not an error of the page.
    script = script.replace("manage.py status", "manage.py status || true")
    script = script.replace("var/", f"{demo.directory}/").replace("curl -s ", "curl -sS --fail-with-body ")
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )


def texts_on(demo, name, *, typed=False):
    [phone] = [phone for phone in demo.state()["phones"] if phone["name"] == name]
    return [text["text"] for thread in phone["threads"] for text in thread["texts"] if text["typed"] == typed]


def eventually(happened):
    """Wait until the demo's worker has made the condition true."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
def test_the_readme_relays_a_first_text(tmp_path):
    readme = section(ROOT / "README.md", "Your first text through the mask")
    with Demo(tmp_path) as demo:
        done = run_blocks([text for language, text in FENCE.findall(readme) if language == "bash"], demo)
        assert done.returncode == 0, done.stdout + done.stderr
        eventually(lambda: "I left my hat in your car." in texts_on(demo, "Driver"))


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
def test_the_tutorial_does_what_it_says(tmp_path):
    steps = defaultdict(list)
    for number, text in re.findall(r"^## (\d)\. .*?\n(.*?)(?=^## )", doc("tutorial.md").read_text(), re.M | re.S):
        steps[int(number)] += [block for language, block in FENCE.findall(text) if language == "bash"]
    whole = [block for number in sorted(steps) if number > 1 for block in steps[number]]
    assert len(whole) >= 9
    with Demo(tmp_path) as demo:
        done = run_blocks(whole, demo)
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"outcome": "relayed"' in done.stdout
        eventually(lambda: "I left my hat in your car." in texts_on(demo, "Driver"))
        eventually(lambda: "Your driver has found your hat." in texts_on(demo, "Rider"))
        assert "conversation.created" in done.stdout
        ended = "This conversation has ended. Your message was not passed on."
        eventually(lambda: ended in texts_on(demo, "Rider"))
        assert "Hello?" in texts_on(demo, "Rider", typed=True)
        assert "Hello?" not in texts_on(demo, "Driver")


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
def test_the_examples_of_the_api_are_answered(tmp_path):
    shell = [*blocks(doc("api.md"), "bash")]
    made = next(index for index, block in enumerate(shell) if "Idempotency-Key" in block)
    read_id = 'ID=$(printf %s "$MADE" | .venv/bin/python -c \'import json, sys; print(json.load(sys.stdin)["id"])\')'
    shell[made] = f"MADE=$({shell[made].strip()})\n{read_id}"
    with Demo(tmp_path) as demo:
        done = run_blocks(shell, demo)
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"chosen_by":"own country"' in done.stdout
