"""The service in one file: it runs from anywhere, answers, and leaves nothing behind.

`make portable` makes it and `make packages-test` runs this.
"""

import shutil
from pathlib import Path

import pytest

from tests.packaging.openai_requests import ask
from tests.running import Running

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "dist" / "appliance-portable"

pytestmark = pytest.mark.packages


def test_it_answers_from_anywhere(tmp_path: Path) -> None:
    if not PROGRAM.exists():
        pytest.skip("there is no such file: `make portable` makes it")
    unpacked = tmp_path / "tmp"
    unpacked.mkdir()
    program = shutil.copy(PROGRAM, tmp_path / "anything")
    appliance = Running(
        tmp_path, command=[str(program)], PATH="/usr/bin:/bin", TMPDIR=str(unpacked)
    ).start()
    ask(appliance.url)
    assert appliance.stop() == 0
    assert list(unpacked.iterdir()) == []
