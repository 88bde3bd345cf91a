"""Text from elsewhere never controls the terminal it is printed on."""

import ast
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import appliance.cli
from appliance.cli import doctor as doctor_command
from appliance.cli import models, options, pull, run
from appliance.cli.main import appliance as group
from appliance.config import terminal
from appliance.errors import ModelNotFound

STEERING = {
    *map(chr, [*range(0x20), *range(0x7F, 0xA0)]),
    *"\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
}
HOSTILE = (
    "a\x1b[2Jb\x1b]52;c;ZXZpbA==\x07c\x9b31md\x90e\x1b\\f\rg\bh\x7fi\u202ej\u2066k\nFAKE  line\tm"
    "\udc80\ud83d"
)


def check(text: str, *, own: str = "\n") -> None:
    """`own`: the control characters that the appliance itself prints."""
    assert not (set(text) & STEERING) - set(own), repr(text)
    assert "\nFAKE" not in text


@given(st.text() | st.text(st.sampled_from(sorted(STEERING))))
def test_a_log_entry_is_one_line(text: str) -> None:
    shown = terminal.line(text)
    assert not set(shown) & STEERING
    assert not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in shown)
    assert not any(unicodedata.bidirectional(c) in BIDI for c in shown)
    shown.encode()
    assert terminal.line(shown) == shown


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text())
def test_lines_keep_their_ends_and_what_people_write(text: str) -> None:
    shown = terminal.lines(text)
    assert not (set(shown) & STEERING) - set("\n\t")
    plain = "".join(c for c in text if c.isprintable() or c in "\n\t\u200d\u200c")
    assert terminal.lines(plain) == plain


def test_the_joiners_that_emoji_and_persian_need_are_kept() -> None:
    for text in (
        "👩\u200d👩\u200d👧",
        "می\u200cخواهم",
        "🏴\U000e0067\U000e0062\U000e007f",
        "e\u0301",
    ):
        assert terminal.line(text) == terminal.lines(text) == text


def test_commands_print_in_one_way_alone() -> None:
    """No other module of the folder writes to a terminal."""
    here = Path(appliance.cli.__file__).parent
    for file in here.glob("*.py"):
        if file.name == "options.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            name = node.func if isinstance(node, ast.Call) else None
            text = ast.unparse(name) if name else ""
            assert text not in ("print", "click.echo", "click.secho", "click.style"), file.name
            assert not re.fullmatch(r"sys\.std(out|err)\.write(lines)?", text), file.name


# -- every command, with hostile text in all its input ---------------------------------------------


def model() -> dict[str, Any]:
    texts = ("id", "name", "quantization", "owner", "detail", "path", "license", "architecture")
    return {
        **dict.fromkeys(texts, HOSTILE),
        "device": HOSTILE,
        "repo": HOSTILE,
        "tensors": [HOSTILE],
        HOSTILE: HOSTILE,
        "size": 1,
        "memory_bytes": 1,
        "memory": None,
        "fits": "fits",
        "n_ctx": 1,
        "downloaded": True,
        "status": "failed",
        "progress": 0.0,
    }


class HostileService:
    """Replaces a service, or the files."""

    def call(self, _method: str, path: str, _body: object = None) -> Any:
        if path.startswith("/api/downloads"):
            texts = ("status", "error", "repo", "file", "id")
            numbers = ("done_bytes", "total_bytes", "bytes_per_second")
            return {**dict.fromkeys(texts, HOSTILE), **dict.fromkeys(numbers, 1), "status": "done"}
        if path == "/api/models":
            return {"models": [model(), {**model(), "status": "ready"}]}
        if path == "/readiness":
            return {"status": "ready", "models": []}
        return model()

    def stream(self, _path: str, _body: object) -> Iterator[dict[str, Any]]:
        delta = {"reasoning_content": HOSTILE, "content": HOSTILE.replace("\nFAKE", "FAKE")}
        yield {"choices": [{"delta": delta}]}


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (models, pull, run):
        monkeypatch.setattr(module, "connect", lambda _config: HostileService())
    monkeypatch.setattr(options, "configuration", lambda *_args, **_flags: None)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    "command",
    [
        *(["list"], ["show", HOSTILE], ["ps"], ["stop", HOSTILE], ["rm", HOSTILE]),
        *(["pull", "some"], ["run", HOSTILE, "Hello"]),
    ],
    ids=lambda command: command[0],
)
def test_a_command_that_receives_hostile_text(command: list[str]) -> None:
    done = invoke(*command)
    assert done.exit_code == 0, done.output
    check(done.output, own="\n\t" if command[0] == "run" else "\n")
    assert "\\x1b[2J" in done.output
    if command[0] not in ("run",):
        output = invoke(*command, "--json").output
        check(output)
        assert "\\u001b[2J" in output


@pytest.mark.usefixtures("hostile")
def test_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.diagnostics import doctor

    found: dict[str, Any] = {"machine": HOSTILE, HOSTILE: [HOSTILE, {"a": HOSTILE}]}
    monkeypatch.setattr(doctor, "examine", lambda _config: found)
    monkeypatch.setattr(doctor, "render", lambda seen: "\n".join(map(str, flat(seen))))
    done = CliRunner().invoke(doctor_command.doctor, [], catch_exceptions=False)
    check(done.output)


def flat(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield key
            yield from flat(value)
    elif isinstance(found, list):
        for value in found:
            yield from flat(value)
    else:
        yield str(found)


def test_an_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from appliance.cli import main as entry

    def fail() -> None:
        raise ModelNotFound(f"there is no {HOSTILE}")

    monkeypatch.setattr(entry, "appliance", fail)
    with pytest.raises(SystemExit):
        entry.main()
    err = capsys.readouterr().err
    check(err)
    assert len(err.splitlines()) == 1
