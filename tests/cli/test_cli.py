"""The command line: help, output, and exit codes when the configuration is wrong."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner

from appliance import __version__
from appliance.cli.main import appliance as group
from appliance.errors import ConfigError
from tests.running import Running
from tests.waiting import wait_until

EX_CONFIG = 78


def appliance(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs the command with `folder` as home, so that nobody's own configuration counts."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("APPLIANCE_", "XDG_"))}
    return subprocess.run(
        [sys.executable, "-m", "appliance", *arguments],
        env=clean | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version(tmp_path: Path) -> None:
    assert __version__ in appliance("--version", folder=tmp_path).stdout


def test_help_names_the_flags(tmp_path: Path) -> None:
    shown = appliance("serve", "--help", folder=tmp_path).stdout
    assert all(flag in shown for flag in ("--config", "--host", "--port", "--open / --no-open"))


def commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", one) for below, one in commands(command))
        else:
            yield name, command


def test_every_command_speaks_json() -> None:
    found = dict(commands(group))
    verbs = ["pull", "list", "show", "rm", "ps", "stop", "run", "bench", "doctor", "serve"]
    assert {*verbs, "keys create", "keys revoke"} <= set(found)
    for name, command in found.items():
        assert "--json" in [option for it in command.params for option in it.opts], name


def test_the_service_says_in_json_where_it_is(tmp_path: Path) -> None:
    service = Running(tmp_path)
    with service.popen("serve", "--json") as process:
        assert process.stdout
        instance = json.loads(process.stdout.readline())
        assert httpx.get(instance["url"] + "/health").json()["status"] == "ok"
        assert (instance["pid"], instance["version"]) == (process.pid, __version__)
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (["--port", "99999"], {}, "server.port"),
        (["--port", "many"], {}, "server.port"),
        (["--config", "none.toml"], {}, "none.toml"),
        ([], {"APPLIANCE_ENGINE_N_CTX": "-1"}, "engine.n_ctx"),
        ([], {"APPLIANCE_ENGINE_NCTX": "1"}, "APPLIANCE_ENGINE_NCTX"),
        ([], {"SERVER_PORT": "x"}, "server.port"),
    ],
)
def test_wrong_setting_ends_with_78_and_one_line(
    arguments: list[str], environ: dict[str, str], expected: str, tmp_path: Path
) -> None:
    done = appliance("serve", *arguments, folder=tmp_path, **environ)

    assert done.returncode == EX_CONFIG
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_file_in_the_configuration_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "appliance"
    folder.mkdir()
    (folder / "config.toml").write_text("[sever]\n")

    done = appliance("serve", folder=tmp_path)

    assert done.returncode == EX_CONFIG
    assert "sever: there is no such key" in done.stderr


# -- `--config FILE`, before the command and behind it ---------------------------------------------

COMMANDS = {"": group} | dict(commands(group))
"""All commands, including the window's, which has no name."""


def minimal(name: str, existing: Path) -> list[str]:
    """The command with its required arguments; each is a file that exists."""
    taken = [it for it in COMMANDS[name].params if isinstance(it, click.Argument) and it.required]
    return [*name.split(), *(str(existing) for _ in taken)]


def with_config(words: list[str], *named: tuple[int, str], equals: bool = False) -> list[str]:
    """The arguments, with `--config FILE` at positions among them."""
    found = list(words)
    for place, file in sorted(named, reverse=True):
        found[place:place] = [f"--config={file}"] if equals else ["--config", file]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_reads_the_file_that_is_named_wherever_it_is(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[sever]\n")
    words = minimal(name, file)
    places = range(len(words) + 1)
    ways = [
        *(with_config(words, (place, str(file)), equals=eq) for place in places for eq in BOTH),
        *(with_config(words, (a, str(file)), (b, str(file))) for a in places for b in places),
    ]
    for arguments in ways:
        done = CliRunner().invoke(group, arguments)
        assert isinstance(done.exception, ConfigError), (arguments, done.output)
        assert f"sever: there is no such key ({file})" in str(done.exception)


BOTH = (False, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_two_different_files_are_refused_wherever_they_are(name: str, tmp_path: Path) -> None:
    file, other = tmp_path / "mine.toml", tmp_path / "other.toml"
    file.touch()
    words = minimal(name, file)
    places = range(len(words) + 1)
    for first, second, equals in itertools.product(places, places, BOTH):
        named = ((first, str(file)), (second, str(other)))
        done = CliRunner().invoke(group, with_config(words, *named, equals=equals))
        assert done.exit_code == 2, named
        assert "--config names two files" in done.output
        assert str(file) in done.output and str(other) in done.output


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("wrong", [["--conf", "x"], ["-c", "x"], ["--config"], ["--config", ""]])
def test_what_is_nearly_the_option_is_an_error(name: str, wrong: list[str], tmp_path: Path) -> None:
    for place in (0, len(name.split())):
        words = minimal(name, tmp_path)
        words[place:place] = wrong
        done = CliRunner().invoke(group, words)
        assert done.exit_code == 2 or isinstance(done.exception, ConfigError), (words, done.output)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name])
def test_no_option_before_a_command_is_ignored(name: str, tmp_path: Path) -> None:
    options = [it for it in group.params if it.name not in ("config_file", "version")]
    assert options
    for option in options:
        done = CliRunner().invoke(group, [option.opts[0], "1", *minimal(name, tmp_path)])
        assert done.exit_code == 2
        assert f"{option.opts[0]} is for the window" in done.output


def test_the_service_asks_for_keys_as_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[security]\nenable_auth = true\nvault = "file"\n')
    command = [sys.executable, "-m", "appliance", "--config", str(file)]
    service = Running(tmp_path, command=command).start(ready=False)
    try:
        assert httpx.get(service.url + "/v1/models").status_code == 401
        key = service.make_key("office")
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}) as client:
            assert client.get(service.url + "/v1/models").status_code == 200
    finally:
        assert service.stop() == 0


def test_health_is_whether_requests_are_taken(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[models.available_models]]\nid = "gone"\npath = "gone.gguf"\n')
    assert "no service runs" in health(Running(tmp_path / "none"))
    service = Running(tmp_path / "one", config=config.read_text()).start(ready=False)
    try:
        wait_until(lambda: "gone.gguf" in health(service), "it does not say what is missing")
    finally:
        assert service.stop() == 0


def test_health_of_a_service_that_is_well(running: Running) -> None:
    assert health(running) == "ready\n"


def health(service: Running) -> str:
    """Its output, on the right stream, with the right exit status."""
    done = service.command("health")
    assert bool(done.returncode) is bool(done.stderr) is not bool(done.stdout)
    return done.stdout + done.stderr
