"""Tries a frozen program on a machine with a GPU, and measures it there beside the processor.

    python -m benchmarks.gpu dist/appliance-server/appliance [--device cuda] [--alone] [--model M]

Nothing but Python's own library and the program is needed. It ends with an error if the GPU is not
found, the model does not run on it, a killed worker does not come back, or a chat's state is not
taken up again after a restart; otherwise it prints a table: medians of five.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.client import Reply, stream, streams

TURNS = 5
STREAMS = 8
PATIENCE = 180.0
WORDS = "river house green under morning paper often little found water carry music letter".split()  # noqa: SIM905


class Service:
    """`appliance serve` on one device."""

    def __init__(self, program: Path, folder: Path, device: str, model: Path | None) -> None:
        config = folder / "config.toml"
        config.write_text(
            f'[[models.available_models]]\nid = "tried"\npath = "{model}"\n' if model else ""
        )
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
            "APPLIANCE_DATA_DIR": str(folder / "data"),
            "APPLIANCE_SERVER_PORT": "0",
            "APPLIANCE_ENGINE_TUNE": "false",
            "DEFAULT_DEVICE": device,
        }
        began = time.monotonic()
        self.log = (folder / "log").open("a+")
        self.process = subprocess.Popen(
            [program, "serve", "--config", config],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        assert self.process.stdout
        self.url = self.process.stdout.readline().split()[-1]
        self.wait_ready()
        self.start_seconds = time.monotonic() - began
        self._model = self.get("/v1/models")["data"][0]["id"]

    def wait_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.get("/readiness")
            except urllib.error.HTTPError as error:
                state = json.load(error)["models"][0]
            else:
                return
            if time.monotonic() > deadline or state["state"] == "failed":
                self.log.seek(0)
                lines = [line for line in self.log if "/readiness" not in line]
                self.stop()
                raise SystemExit(f"not ready: {state}\n{''.join(lines[-20:])}")
            time.sleep(0.02)

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return dict(json.load(answer))

    def ask(self, content: str, max_tokens: int) -> Reply:
        """Greedy, and on to the last token asked for."""
        return stream(self.url, self._body(content, max_tokens))

    def together(self, contents: list[str], max_tokens: int) -> list[Reply]:
        """As `ask`, all at the same time."""
        return streams(self.url, [self._body(content, max_tokens) for content in contents])

    def _body(self, content: str, max_tokens: int) -> dict[str, Any]:
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def kill_worker(self) -> None:
        """As a crash in the driver would."""
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                command = (status.parent / "cmdline").read_bytes().split(b"\0")
                if parent == self.process.pid and b"worker" in command:
                    os.kill(int(status.parent.name), signal.SIGKILL)
                    return
        raise SystemExit("there is no worker")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        assert self.process.stdout
        self.process.stdout.close()
        self.log.close()


@contextlib.contextmanager
def service(program: Path, folder: Path, device: str, model: Path | None) -> Iterator[Service]:
    one = Service(program, folder, device, model)
    try:
        yield one
    finally:
        one.stop()


def text(count: int, seed: int) -> str:
    """About `count` tokens that no cache has seen."""
    return " ".join(f"{WORDS[(seed * 7 + n * n) % len(WORDS)]} {n}" for n in range(count // 3))


def expect(truth: object, otherwise: str) -> None:
    if not truth:
        raise SystemExit(otherwise)


def measure(program: Path, device: str, model: Path | None) -> dict[str, float | str]:
    """Everything on one device."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with service(program, folder, device, model) as one:
            found: dict[str, float | str] = {"start to ready, s": one.start_seconds}
            told = one.get("/readiness")["models"][0]
            expect(told["device"] == device, f"{device} was asked for: {told}")
            print(json.dumps(told), flush=True)
            found["text"] = one.ask("Write a story about a green house by the river.", 48).text
            fresh = [one.ask(text(1000, turn), 2) for turn in range(TURNS)]
            found["its prompt, tokens"] = fresh[0].prompt_tokens
            found["fresh prompt, first token, s"] = median(r.first_seconds for r in fresh)
            alone = [one.ask(text(60, 100 + turn), 256) for turn in range(TURNS)]
            found["one stream, tokens/s"] = median(r.decode_rate for r in alone)
            rates = []
            for turn in range(TURNS):
                contents = [text(60, 1000 + 10 * turn + n) for n in range(STREAMS)]
                rates.append(sum(r.decode_rate for r in one.together(contents, 256)))
            found[f"{STREAMS} streams, tokens/s together"] = median(rates)
            one.kill_worker()
            expect(one.ask("Are you there?", 8).tokens == 8, "no answer after a worker's death")
            again = text(1000, 5000)
            cold = one.ask(again, 2)
            found["cold prompt before the restart, first token, s"] = cold.first_seconds
        with service(program, folder, device, model) as one:
            warm = one.ask(again, 2)
            expect(warm.cached_tokens > cold.prompt_tokens - 8, f"nothing was kept: {warm}")
            expect(warm.text == cold.text, "another reply after the restart")
            found["after the restart, first token, s"] = warm.first_seconds
        return found


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", type=Path, help="in place of the embedded one")
    parser.add_argument("--alone", action="store_true", help="leave the processor out")
    settings = parser.parse_args()
    doctor = subprocess.run(
        [settings.program, "doctor", "--json"], check=False, stdout=subprocess.PIPE, text=True
    )
    print(doctor.stdout, flush=True)
    devices = dict.fromkeys([settings.device, *([] if settings.alone else ["cpu"])])
    found = {one: measure(settings.program, one, settings.model) for one in devices}
    print("| what | " + " | ".join(found) + " |\n| --- |" + " --- |" * len(found))
    for what in next(iter(found.values())):
        values = [found[one][what] for one in found]
        if what == "text":
            print(f"| same greedy text | {len(set(values)) == 1} |" + " |" * (len(found) - 1))
        else:
            print(f"| {what} | " + " | ".join(f"{float(value):.4g}" for value in values) + " |")


if __name__ == "__main__":
    main()
