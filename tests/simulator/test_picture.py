"""The README's picture can be made again at any time: `make picture`."""

import subprocess
import sys

import pytest

from tests.support.demo_process import ROOT

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.xdist_group("phones")
def test_the_picture_of_the_readme_is_made_by_a_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.picture", tmp_path / "phones.png"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "needs chromium" in done.stderr:
        pytest.skip("needs chromium and chromedriver on the PATH")
    assert done.returncode == 0, done.stderr
    picture = (tmp_path / "phones.png").read_bytes()
    assert picture.startswith(PNG)
    assert len(picture) > 50_000
    assert "tests.support.picture" in (ROOT / "Makefile").read_text()
