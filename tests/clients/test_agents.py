"""Coding agents as npm installs them: a tool call and its result, on a scripted model."""

import json
from pathlib import Path

import pytest

from tests.clients import table
from tests.clients.agent_programs import AGENTS
from tests.clients.offline import run

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_calls_a_tool(name: str, tmp_path: Path) -> None:
    result = run(tmp_path, "agent", name)
    found = table.did("agent", result)
    assert found == {"": dict.fromkeys(found[""], "")}
    assert all(row in table.DOCUMENT.read_text("utf-8") for row in table.rows("agent", name, found))
    if name == "Claude Code":
        # Both turns together: the second prompt is the first one and a little more.
        response = json.loads(result["out"])
        usage = response["usage"]
        assert response["num_turns"] == 2
        assert usage["cache_read_input_tokens"] >= 0.95 * usage["input_tokens"]
