"""The service in one file: it runs from anywhere, answers, and leaves nothing behind.

`make portable` makes it and `make packages-test` runs this.
"""

import shutil
from pathlib import Path

import pytest
from openai import OpenAI

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
    client = OpenAI(base_url=f"{appliance.url}/v1", api_key="none", max_retries=0)
    answer = client.chat.completions.create(
        model="smollm2-135m-instruct",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        temperature=0,
        max_tokens=12,
    )
    assert answer.choices[0].message.content
    assert appliance.stop() == 0
    assert list(unpacked.iterdir()) == []
