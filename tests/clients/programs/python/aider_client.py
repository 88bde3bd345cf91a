"""aider: a file that the model rewrites, streamed and not."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from report import CHAT, FAKE, URL, report

REWRITTEN = "echo:greeting.txt\n```\nHello there\n```\x03"


def rewrite(*options: str) -> None:
    """One message to aider, in the format where the model writes whole files."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "greeting.txt")
        file.write_text("Good morning\n")
        ran = subprocess.run(
            [
                str(Path(sys.executable).with_name("aider")),
                *("--model", f"openai/{FAKE}", "--edit-format", "whole", "--no-git"),
                *("--no-show-model-warnings", "--no-check-update", "--analytics-disable"),
                *("--yes-always", "--no-pretty", "--map-tokens", "0", "--message", REWRITTEN),
                *options,
                str(file),
            ],
            cwd=folder,
            env={
                **os.environ,
                "HOME": folder,
                "OPENAI_API_BASE": f"{URL}/v1",
                "OPENAI_API_KEY": "none",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            },
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert ran.returncode == 0, ran.stderr
        assert file.read_text() == "Hello there\n", ran.stdout


report(CHAT, edit=lambda: rewrite("--no-stream"), edit_streamed=rewrite)
