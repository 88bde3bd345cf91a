"""The page's types are those of the API: `npm --prefix ui run types` would change nothing."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TYPES = ROOT / "ui" / "src" / "api" / "types.gen.ts"


def test_the_pages_types_are_generated_from_this_api() -> None:
    tools = ROOT / "ui" / "node_modules" / ".bin"
    if not (tools / "openapi-typescript").exists():
        pytest.skip("the page's libraries are missing: `make ui/node_modules/.package-lock.json`")
    command: str = json.loads((ROOT / "ui" / "package.json").read_text("utf-8"))["scripts"]["types"]
    printing = command.replace("-o src/api/types.gen.ts", "")
    assert printing != command
    made = subprocess.run(
        ["/bin/sh", "-c", printing],
        cwd=ROOT / "ui",
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() == TYPES.read_text("utf-8").strip(), (
        "the API has changed: run `npm --prefix ui run types`"
    )
