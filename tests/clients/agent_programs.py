"""How each coding agent is started for one prompt, without a person, on the scripted model.

Each is asked to read `note.txt` by its own tool; what it reads makes the model write `DONE`, which
the agent then prints.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.clients.scripted import call

DONE = "All done."
NOTE = f"echo:{DONE}\x03\n"


@dataclass(frozen=True)
class Invocation:
    """A command line of an agent."""

    arguments: list[str]
    environment: Mapping[str, str]
    before: list[str] | None = None  # arguments of a first run, which sets it up
    stdin: str = ""


def prompt(tool: str, **arguments: object) -> str:
    """What makes the scripted model call a tool."""
    return f"echo:{call(tool, **arguments)}\x03"


def claude(home: Path, note: Path, url: str) -> Invocation:
    """Claude Code, on Anthropic's Messages."""
    asked = prompt("Read", file_path=str(note))
    names = ("MODEL", "DEFAULT_HAIKU_MODEL", "SMALL_FAST_MODEL")
    return Invocation(
        ["-p", asked, "--output-format", "json", "--allowedTools", "Read"],
        {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_AUTH_TOKEN": "none",
            **{f"ANTHROPIC_{name}": "fake" for name in names},
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        },
    )


def codex(home: Path, note: Path, url: str) -> Invocation:
    """codex, on Responses."""
    config = home / ".codex" / "config.toml"
    config.parent.mkdir()
    config.write_text(
        'model = "fake"\nmodel_provider = "appliance"\n[model_providers.appliance]\n'
        f'name = "appliance"\nbase_url = "{url}/v1"\nwire_api = "responses"\n'
    )
    unasked = "--dangerously-bypass-approvals-and-sandbox"
    asked = prompt("exec_command", cmd=f"cat {note}")
    return Invocation(["exec", "--skip-git-repo-check", unasked, asked], {})


def copilot(home: Path, note: Path, url: str, wire: str = "completions") -> Invocation:
    """Copilot CLI, on Chat Completions."""
    return Invocation(
        ["-p", prompt("view", path=str(note)), "--allow-all", "--no-color"],
        {
            "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
            "COPILOT_PROVIDER_WIRE_API": wire,
            "COPILOT_MODEL": "fake",
            "COPILOT_OFFLINE": "true",
        },
    )


def copilot_resp(home: Path, note: Path, url: str) -> Invocation:
    """Copilot CLI, on Responses."""
    return copilot(home, note, url, "responses")


def opencode(home: Path, note: Path, url: str) -> Invocation:
    """opencode, on Chat Completions."""
    config = {
        "autoupdate": False,
        "share": "disabled",
        "provider": {
            "appliance": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "appliance",
                "options": {"baseURL": f"{url}/v1"},
                "models": {"fake": {"name": "fake", "limit": {"context": 262144, "output": 8192}}},
            }
        },
    }
    return Invocation(
        ["run", "--pure", "--model", "appliance/fake"],
        {
            "OPENCODE_CONFIG_CONTENT": json.dumps(config),
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
        },
        # As an argument, it would be put into quotes.
        stdin=prompt("read", filePath=str(note)),
    )


def qwen(home: Path, note: Path, url: str) -> Invocation:
    """qwen-code, on Chat Completions."""
    return Invocation(
        ["--yolo", prompt("read_file", file_path=str(note))],
        {
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_MODEL": "fake",
            "QWEN_TELEMETRY_ENABLED": "false",
        },
    )


def continue_cli(home: Path, note: Path, url: str, provider: str = "openai") -> Invocation:
    """Continue's `cn`, by one of its providers."""
    base = {"openai": f"{url}/v1", "lmstudio": f"{url}/v1", "ollama": url}[provider]
    model = {
        "name": "fake",
        "provider": provider,
        "model": "fake",
        "apiBase": base,
        "apiKey": "none",
        "roles": ["chat"],
        "capabilities": ["tool_use"],
    }
    config = home / "continue.json"
    config.write_text(
        json.dumps({"name": "c", "version": "1.0.0", "schema": "v1", "models": [model]})
    )
    asked = prompt("Read", filepath=str(note))
    return Invocation(
        ["--print", "--auto", "--config", str(config), asked], {"CONTINUE_TELEMETRY_ENABLED": "0"}
    )


def continue_ollama(home: Path, note: Path, url: str) -> Invocation:
    """Continue's `cn`, on Ollama's API."""
    return continue_cli(home, note, url, "ollama")


def continue_lmstudio(home: Path, note: Path, url: str) -> Invocation:
    """Continue's `cn`, by its provider for LM Studio."""
    return continue_cli(home, note, url, "lmstudio")


def cline(home: Path, note: Path, url: str) -> Invocation:
    """Cline, on Chat Completions."""
    provider = ["--provider", "openai", "--apikey", "none", "--modelid", "fake"]
    asked = prompt("read_files", paths=[str(note)])
    return Invocation(
        ["--provider", "openai", "--model", "fake", asked],
        {},
        before=["auth", *provider, "--baseurl", f"{url}/v1"],
    )


@dataclass(frozen=True)
class Agent:
    """An agent as the table of clients has it."""

    name: str
    package: str
    program: str  # in node_modules/.bin
    api: str
    invocation: Callable[[Path, Path, str], Invocation]


AGENTS = {
    agent.name: agent
    for agent in (
        Agent("Claude Code", "@anthropic-ai/claude-code", "claude", "Anthropic Messages", claude),
        Agent("codex", "@openai/codex", "codex", "Responses", codex),
        Agent("Copilot CLI", "@github/copilot", "copilot", "Chat Completions", copilot),
        Agent("Copilot CLI (Responses)", "@github/copilot", "copilot", "Responses", copilot_resp),
        Agent("opencode", "opencode-ai", "opencode", "Chat Completions", opencode),
        Agent("qwen-code", "@qwen-code/qwen-code", "qwen", "Chat Completions", qwen),
        Agent("Continue CLI", "@continuedev/cli", "cn", "Chat Completions", continue_cli),
        Agent("Continue CLI (Ollama)", "@continuedev/cli", "cn", "Ollama", continue_ollama),
        Agent(
            "Continue CLI (LM Studio)",
            "@continuedev/cli",
            "cn",
            "Chat Completions",
            continue_lmstudio,
        ),
        Agent("Cline", "cline", "cline", "Chat Completions", cline),
    )
}
