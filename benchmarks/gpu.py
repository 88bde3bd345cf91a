"""Tests a frozen program on a machine with a GPU, and compares the GPU's speed with the CPU's.

    python -m benchmarks.gpu dist/appliance-server/appliance [--device cuda] [--alone] [--model M]
        [--slots N] [--kv-unified auto|on] [--beside LLAMA_SERVER]

Needs only Python's standard library and the program. It exits with an error if the GPU is not
found, the model does not run on it, a killed worker is not replaced, or a chat's state is not
restored after a restart; otherwise it prints a table: medians of five. `--beside` adds llama.cpp's
own server on the same model file.
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
from statistics import mean, median
from typing import Any

from benchmarks.client import Reply, stream, streams

TURNS = 5
STREAMS = 8
CELLS = 8192
"""Context tokens of a slot."""
PATIENCE = 180.0
WORDS = "river house green under morning paper often little found water carry music letter".split()  # noqa: SIM905


class ChatServer:
    """A server of chat completions at `url`, for a model of the name `model`."""

    url: str
    model: str

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return dict(json.load(answer))

    def ask(self, content: str, max_tokens: int) -> Reply:
        """Sends a chat with greedy sampling; the reply always has `max_tokens` tokens."""
        return stream(self.url, self._body(content, max_tokens))

    def together(self, contents: list[str], max_tokens: int) -> list[Reply]:
        """As `ask`, all at the same time."""
        return streams(self.url, [self._body(content, max_tokens) for content in contents])

    def _body(self, content: str, max_tokens: int) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


class LlamaServer(ChatServer):
    """llama.cpp's own server, with all layers on the GPU and the appliance's context per slot."""

    model = "any"

    def __init__(self, program: Path, model: Path, slots: int, port: int = 18080) -> None:
        command: list[str | Path] = [program, "-m", model, "-np", str(slots), "-ngl", "99"]
        command += ["-c", str(slots * CELLS), "--port", str(port)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.get("/health")
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline:
                    self.stop()
                    raise SystemExit("llama-server does not answer") from None
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


class Service(ChatServer):
    """`appliance serve` on one device."""

    def __init__(self, settings: argparse.Namespace, folder: Path, device: str) -> None:
        model = settings.model
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
            "APPLIANCE_ENGINE_N_CTX": str(CELLS),
            "APPLIANCE_ENGINE_N_SEQ_MAX": str(settings.slots),
            "APPLIANCE_ENGINE_KV_UNIFIED": settings.kv_unified,
            "DEFAULT_DEVICE": device,
        }
        began = time.monotonic()
        self.log = (folder / "log").open("a+")
        self.process = subprocess.Popen(
            [settings.program, "serve", "--config", config],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        assert self.process.stdout
        self.url = self.process.stdout.readline().split()[-1]
        self.wait_ready()
        self.start_seconds = time.monotonic() - began
        self.model = self.get("/v1/models")["data"][0]["id"]

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

    def kill_worker(self) -> None:
        """Kills the worker, as a crash in the driver would."""
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
def service(settings: argparse.Namespace, folder: Path, device: str) -> Iterator[Service]:
    one = Service(settings, folder, device)
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


def speed(one: ChatServer) -> dict[str, float | str]:
    """The measurements that every server supports."""
    found: dict[str, float | str] = {}
    found["text"] = one.ask("Write a story about a green house by the river.", 48).text
    fresh = [one.ask(text(1000, turn), 2) for turn in range(TURNS)]
    found["its prompt, tokens"] = fresh[0].prompt_tokens
    found["new prompt, first token, s"] = median(r.first_seconds for r in fresh)
    alone = [one.ask(text(60, 100 + turn), 256) for turn in range(TURNS)]
    found["one stream, tokens/s"] = median(r.decode_rate for r in alone)
    rates, firsts = [], []
    for turn in range(TURNS):
        contents = [text(60, 1000 + 10 * turn + n) for n in range(STREAMS)]
        replies = one.together(contents, 256)
        rates.append(sum(r.decode_rate for r in replies))
        firsts.append(mean(r.first_seconds for r in replies))
    found[f"{STREAMS} streams, tokens/s together"] = median(rates)
    found["their mean first token, s"] = median(firsts)
    return found


def measure(settings: argparse.Namespace, device: str) -> dict[str, float | str]:
    """The appliance on one device."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with service(settings, folder, device) as one:
            found: dict[str, float | str] = {"start to ready, s": one.start_seconds}
            began = time.monotonic()
            while one.get("/readiness")["models"][0]["device"] != device:  # it is being checked
                expect(time.monotonic() - began < PATIENCE, f"the model does not run on {device}")
                time.sleep(0.1)
            found["first use, until the model is there, s"] = time.monotonic() - began
            state = one.get("/readiness")["models"][0]
            print(json.dumps(state), flush=True)
            found |= speed(one)
            one.kill_worker()
            expect(one.ask("Are you there?", 8).tokens == 8, "no answer after a worker's death")
        kept, anew = [], []
        for turn in range(TURNS):
            question = text(1000, 5000 + turn)
            with service(settings, folder, device) as one:
                cold = one.ask(question, 2)
            # A server's first prompt takes longer than later ones; here both are first prompts.
            anew.append(cold.first_seconds)
            with service(settings, folder, device) as one:
                warm = one.ask(question, 2)
            expect(
                warm.cached_tokens > cold.prompt_tokens - 8, f"the state was not restored: {warm}"
            )
            kept.append(warm.first_seconds)
        found["first prompt after a start, s"] = median(anew)
        found["the same after a restart, its state from disk, s"] = median(kept)
        return found


def beside(settings: argparse.Namespace) -> dict[str, float | str]:
    """llama.cpp's own server."""
    (model,) = [settings.model] if settings.model else settings.program.parent.rglob("*.gguf")
    one = LlamaServer(settings.beside, model, settings.slots)
    try:
        return speed(one)
    finally:
        one.stop()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", type=Path, help="instead of the embedded one")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--kv-unified", default="auto")
    parser.add_argument("--beside", type=Path, help="llama.cpp's own server")
    parser.add_argument("--alone", action="store_true", help="leave the CPU out")
    settings = parser.parse_args()
    doctor = subprocess.run(
        [settings.program, "doctor", "--json"], check=False, stdout=subprocess.PIPE, text=True
    )
    print(doctor.stdout, flush=True)
    devices = dict.fromkeys([settings.device, *([] if settings.alone else ["cpu"])])
    found = {one: measure(settings, one) for one in devices}
    if settings.beside:
        found["llama-server"] = beside(settings)
    print("| what | " + " | ".join(found) + " |\n| --- |" + " --- |" * len(found))
    for what in found[settings.device]:
        values = [found[one].get(what, "") for one in found]
        if what == "text":
            print(f"| same greedy text | {len(set(values)) == 1} |" + " |" * (len(found) - 1))
        else:
            print(f"| {what} | " + " | ".join(f"{v:.4g}" if v else "" for v in values) + " |")


if __name__ == "__main__":
    main()
