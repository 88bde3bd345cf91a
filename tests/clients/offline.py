"""Other people's programs, run against appliances where there is no network but loopback.

    python -m tests.clients.offline FOLDER agent NAME
    python -m tests.clients.offline FOLDER library NAME

runs inside such a place and prints what happened as its last line; `run` makes the place.
"""

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.agent_programs import AGENTS, NOTE
from tests.clients.scripted import serving_scripted
from tests.running import Running, apart

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "clients" / "programs"
INSTALLED = ROOT / "build" / "clients"
REAL = "smollm2-135m-instruct"
SECONDS = 300


@dataclass(frozen=True)
class Library:
    """A client library and the program that tries it."""

    package: str  # whose version stands in the lock
    program: str  # in `programs`
    lock: str = "main"  # and the environment: of Python, or `node`


LIBRARIES = {
    "AI SDK": Library("ai", "ai_sdk.mjs", "node"),
    "aider": Library("aider-chat", "aider_client.py", "aider"),
    "anthropic, JavaScript": Library("@anthropic-ai/sdk", "anthropic_js.mjs", "node"),
    "instructor": Library("instructor", "instructor_client.py"),
    "LangChain": Library("langchain", "langchain_clients.py"),
    "litellm": Library("litellm", "litellm_client.py"),
    "LlamaIndex": Library("llama-index-core", "llama_index_clients.py", "llama-index"),
    "llm": Library("llm", "llm_client.py"),
    "ollama, JavaScript": Library("ollama", "ollama_js.mjs", "node"),
    "openai, JavaScript": Library("openai", "openai_js.mjs", "node"),
    "openai-agents": Library("openai-agents", "openai_agents.py"),
    "pydantic-ai": Library("pydantic-ai-slim", "pydantic_ai_client.py"),
    "smolagents": Library("smolagents", "smolagents_client.py"),
}


def run(folder: Path, kind: str, name: str) -> Any:
    """What an agent or a library did, in a network namespace of its own."""
    if not (INSTALLED / ("agents" if kind == "agent" else LIBRARIES[name].lock)).is_dir():
        pytest.skip("clients are missing: `make clients`")
    script = 'ip link set lo up && exec "$0" -m tests.clients.offline "$@"'
    # Some leave a process behind, which ends with the namespace of processes.
    alone = ("unshare", "-rn", "--pid", "--fork", "--kill-child", "--mount-proc")
    ran = subprocess.run(
        [*alone, "sh", "-c", script, sys.executable, str(folder), kind, name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if ran.returncode and "unshare" in ran.stderr:
        pytest.skip("no network namespace can be made on this system")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


# -- inside ---------------------------------------------------------------------------------------


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What a program gets of this process's environment."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    path = apart(folder)["PATH"]
    return {"PATH": path, "HOME": str(home), "TERM": "dumb", "CI": "1", "NO_COLOR": "1", **more}


def run_agent(folder: Path, name: str) -> dict[str, Any]:
    """One prompt to an agent, with an appliance of its own."""
    agent = AGENTS[name]
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    note = work / "note.txt"
    note.write_text(NOTE)
    serving = serving_scripted(folder)
    appliance = next(serving)
    invocation = agent.invocation(home, note, appliance.url)
    program = str(INSTALLED / "agents" / "node_modules" / ".bin" / agent.program)
    for arguments in filter(None, (invocation.before, invocation.arguments)):
        ran = subprocess.run(
            [program, *arguments],
            cwd=work,
            env=environment(folder, **invocation.environment),
            input=invocation.stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS / 2,
            check=False,
        )
    next(serving, None)
    return {"out": ran.stdout, "err": ran.stderr[-4000:], "rc": ran.returncode}


def run_library(folder: Path, name: str) -> list[dict[str, Any]]:
    """All that a library's program tries, with a scripted model and the real one."""
    library = LIBRARIES[name]
    for part in ("scripted", "real"):
        (folder / part).mkdir()
    if library.lock == "node":
        # Modules are looked up from a program's own folder.
        place = INSTALLED / "node" / "programs"
        shutil.copytree(PROGRAMS / "node", place, dirs_exist_ok=True)
        command = [shutil.which("node") or "node", str(place / library.program)]
    else:
        python = INSTALLED / library.lock / "bin" / "python"
        command = [str(python), str(PROGRAMS / "python" / library.program)]
    with ExitStack() as stack:
        serving = serving_scripted(folder / "scripted")
        scripted = next(serving)
        stack.callback(next, serving, None)
        # Prompts of agents are long.
        real = Running(folder / "real", APPLIANCE_ENGINE_N_CTX="0").start()
        stack.callback(real.stop)
        ran = subprocess.run(
            command,
            env=environment(
                folder,
                APPLIANCE_URL=scripted.url,
                APPLIANCE_REAL_URL=real.url,
                APPLIANCE_REAL_MODEL=REAL,
                PYTHONDONTWRITEBYTECODE="1",
                LITELLM_LOCAL_MODEL_COST_MAP="True",
            ),
            capture_output=True,
            text=True,
            timeout=SECONDS * 0.9,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"api"')]


if __name__ == "__main__":
    _folder, _kind, _name = sys.argv[1:]
    os.environ.pop("PYTHONPATH", None)
    tried = {"agent": run_agent, "library": run_library}[_kind](Path(_folder), _name)
    print(json.dumps(tried))
