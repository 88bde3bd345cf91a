"""A test that skips or fails with open files does not affect other tests."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = "from tests.conftest import pytest_runtest_makereport, pytest_runtest_teardown\n"
TESTS = """
import pytest

class Held:
    pass

@pytest.fixture
def skips(tmp_path):
    held = Held()
    held.me, held.file = held, open(tmp_path / "x", "w")
    pytest.skip("a program is missing")

def test_skips(skips): ...

def test_fails(tmp_path):
    held = Held()
    held.me, held.file = held, open(tmp_path / "x", "w")
    assert False

def test_innocent():
    import gc
    gc.collect()
"""


def test_what_is_left_open_hits_the_test_that_left_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_them.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", tmp_path, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = ended.stdout
    assert "it was skipped and left open: unclosed file" in output
    assert re.search(r"ERROR \S+::test_skips", output)
    assert re.search(r"FAILED \S+::test_fails", output)
    assert re.search(r"PASSED \S+::test_innocent", output)
    assert "1 failed, 1 passed, 1 skipped, 1 error" in output
