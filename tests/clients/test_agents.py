"""Widely used agents, as installed from npm: a tool call and its result, on a scripted model.

They run where there is no network but loopback. `make clients` installs them.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.scripted import call, serving_scripted
from tests.running import apart

pytestmark = pytest.mark.clients

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "build" / "clients" / "node_modules" / ".bin"
SECONDS = 300


def inside(folder: Path, *arguments: str) -> dict[str, Any]:
    """Runs this module in its own network namespace; its report on an agent."""
    if not PROGRAMS.is_dir():
        pytest.skip("the agents are missing: `make clients`")
    script = 'ip link set lo up && exec "$0" -m tests.clients.test_agents "$@"'
    ran = subprocess.run(
        ["unshare", "-rn", "sh", "-c", script, sys.executable, str(folder), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if ran.returncode and "unshare" in ran.stderr:
        pytest.skip("this system lets nobody make a network namespace")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_claude_code_calls_a_tool_and_finds_its_prompt_cached(tmp_path: Path) -> None:
    result = inside(tmp_path, "claude")
    response = json.loads(result["out"])
    assert response["result"] == "All done.", result
    assert response["num_turns"] == 2
    # Both turns together: the second prompt is the first one and a little more.
    usage = response["usage"]
    assert usage["cache_read_input_tokens"] >= 0.95 * usage["input_tokens"]


def test_codex_calls_a_tool(tmp_path: Path) -> None:
    result = inside(tmp_path, "codex")
    assert result["out"].strip() == "All done.", result


# -- inside the namespace -------------------------------------------------------------------------


def command(agent: str, work: Path, home: Path, url: str) -> tuple[list[str], dict[str, str]]:
    """The agent's command line and environment."""
    note = work / "note.txt"
    if agent == "claude":
        prompt = f"echo:{call('Read', file_path=str(note))}\x03"
        options = ["-p", prompt, "--output-format", "json", "--allowedTools", "Read"]
        names = ("MODEL", "DEFAULT_HAIKU_MODEL", "SMALL_FAST_MODEL")
        return options, {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_AUTH_TOKEN": "none",
            **{f"ANTHROPIC_{name}": "fake" for name in names},
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }
    config = home / ".codex" / "config.toml"
    config.parent.mkdir()
    config.write_text(
        'model = "fake"\nmodel_provider = "appliance"\n[model_providers.appliance]\n'
        f'name = "appliance"\nbase_url = "{url}/v1"\nwire_api = "responses"\n'
    )
    prompt = f"echo:{call('exec_command', cmd=f'cat {note}')}\x03"
    unasked = "--dangerously-bypass-approvals-and-sandbox"
    return ["exec", "--skip-git-repo-check", unasked, prompt], {}


def run(folder: Path, agent: str) -> dict[str, Any]:
    """One agent on an appliance of its own."""
    home, work = folder / "home", folder / "work"
    for path in (home, work):
        path.mkdir()
    (work / "note.txt").write_text("echo:All done.\x03\n")
    serving = serving_scripted(folder)
    appliance = next(serving)
    arguments, more = command(agent, work, home, appliance.url)
    ran = subprocess.run(
        [str(PROGRAMS / agent), *arguments],
        cwd=work,
        env={"PATH": apart(folder)["PATH"], "HOME": str(home), "TERM": "dumb", "CI": "1", **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS / 2,
        check=False,
    )
    next(serving, None)
    return {"out": ran.stdout, "err": ran.stderr[-4000:], "rc": ran.returncode}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), sys.argv[2])))
