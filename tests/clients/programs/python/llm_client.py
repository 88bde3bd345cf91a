"""llm, the command line: models of `extra-openai-models.yaml`, streamed, with a tool, a schema."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from report import (
    ANSWER,
    CHAT,
    FAKE,
    HELLO,
    REAL,
    REAL_URL,
    URL,
    WHO,
    Person,
    asked_for_call,
    equal,
    report,
)

TOOL = f"""def get_weather(city: str) -> str:
    "The weather in a city."
    return "echo:{ANSWER}" + chr(3)
"""


def llm(*arguments: str) -> str:
    """What the program prints."""
    with tempfile.TemporaryDirectory() as folder:
        made = [
            {
                "model_id": name,
                "model_name": name,
                "api_base": f"{url}/v1",
                "supports_tools": True,
                "supports_schema": True,
            }
            for name, url in ((FAKE, URL), (REAL, REAL_URL))
        ]
        Path(folder, "extra-openai-models.yaml").write_text(json.dumps(made))
        ran = subprocess.run(
            [str(Path(sys.executable).with_name("llm")), *arguments],
            env={**os.environ, "LLM_USER_PATH": folder, "OPENAI_API_KEY": "none"},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


report(
    CHAT,
    chat=lambda: equal(llm("-m", FAKE, "--no-stream", HELLO), "Hello there"),
    stream=lambda: equal(llm("-m", FAKE, HELLO), "Hello there"),
    tool=lambda: equal(llm("-m", FAKE, "--functions", TOOL, asked_for_call()), ANSWER),
    schema=lambda: Person.model_validate_json(
        llm("-m", REAL, "--schema", json.dumps(Person.model_json_schema()), WHO)
    ),
)
