"""Prints the figures of packaging/README.md, each as the median of several starts.

    python packaging/figures.py [--starts N]     for the builds in dist/

Each start is a user's first: the data folder is new, but files are in the page cache. The window is
shown on Xvfb, in a session with a D-Bus daemon as desktops have one: otherwise GTK would start its
own first.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import xvfb
from appliance.system.cpu import processor

ROOT = Path(__file__).resolve().parent.parent
QUESTION = {
    "model": "smollm2-135m-instruct",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "stream": True,
    "max_tokens": 8,
}
PATIENCE = 120.0


def environment(folder: Path, **session: str) -> dict[str, str]:
    """The environment of a new user; `session`: variables that a desktop session adds."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "APPLIANCE_DATA_DIR": str(folder / "data"),
        "APPLIANCE_SERVER_PORT": "0",
        "APPLIANCE_ENGINE_TUNE": "false",
        "NO_AT_BRIDGE": "1",
        **session,
    }


def serve(program: Path) -> tuple[float, float]:
    """Seconds from a start to ready, and to the first token of a chat that is sent then."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = subprocess.Popen(
            [program, "serve"],
            env=environment(Path(folder)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout
        try:
            url = process.stdout.readline().split()[-1]
            wait(lambda: answers(f"{url}/readiness"), began)
            ready = time.monotonic() - began
            request = urllib.request.Request(
                f"{url}/v1/chat/completions",
                json.dumps(QUESTION).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
                for line in reply:
                    if line.startswith(b"data: {") and token(line):
                        return ready, time.monotonic() - began
            raise SystemExit("no token was received")
        finally:
            process.terminate()
            process.wait(60)
            process.stdout.close()


def token(line: bytes) -> bool:
    """Whether a line of the stream has text of the reply."""
    choices = json.loads(line.removeprefix(b"data: "))["choices"]
    return bool(choices and choices[0]["delta"].get("content"))


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait(until: Callable[[], bool], began: float) -> None:
    """Polls often enough for two decimal places."""
    while not until():
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"not ready after {PATIENCE:.0f} s")
        time.sleep(0.02)


@contextlib.contextmanager
def desktop() -> Iterator[dict[str, str]]:
    """A virtual display and a D-Bus session bus, as environment variables."""
    with (
        xvfb.screen() as display,
        subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--print-address"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as bus,
    ):
        assert bus.stdout
        yield {"DISPLAY": display, "DBUS_SESSION_BUS_ADDRESS": bus.stdout.readline().strip()}
        bus.terminate()


def window(program: Path, session: dict[str, str]) -> float:
    """Seconds from a start until the window reports that the page is drawn."""
    with tempfile.TemporaryDirectory() as folder:
        memory = Path(folder, "data", "window.json")
        began = time.monotonic()
        process = subprocess.Popen(
            [program, "--ready-seconds", str(PATIENCE)],
            env=environment(Path(folder), **session),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait(lambda: memory.exists() and "rung" in memory.read_text(), began)
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait(60)


def shown(name: str, seconds: list[float]) -> None:
    each = ", ".join(f"{one:.2f}" for one in sorted(seconds))
    print(f"{name}: {statistics.median(seconds):.2f} s (median of {each})", flush=True)


def sizes() -> None:
    for folder in (ROOT / "dist" / "appliance", ROOT / "dist" / "appliance-server"):
        files = [one for one in folder.rglob("*") if one.is_file() and not one.is_symlink()]
        print(f"{folder.name}: {sum(one.stat().st_size for one in files) / 1e6:.0f} MB")
    for file in sorted((ROOT / "dist").iterdir()):
        if file.is_file() and file.name != "SHA256SUMS":
            print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--starts", type=int, default=5)
    starts = range(parser.parse_args().starts)
    sizes()
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{processor().threads} processors, load {load}")
    programs = {
        "server": ROOT / "dist/appliance-server/appliance",
        "portable": ROOT / "dist/appliance-portable",
    }
    for name, program in programs.items():
        if program.exists():
            measured = [serve(program) for _ in starts]
            shown(f"{name}, start to ready", [ready for ready, _ in measured])
            shown(f"{name}, start to first token", [first for _, first in measured])
    program = ROOT / "dist/appliance/appliance"
    if program.exists() and shutil.which("Xvfb") and shutil.which("dbus-daemon"):
        with desktop() as session:
            shown("window, start to drawn", [window(program, session) for _ in starts])


if __name__ == "__main__":
    main()
