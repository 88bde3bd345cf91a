"""The measured processes: the appliance, other servers, the bare loop."""

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import psutil

from appliance.system.llama_libraries import FOLDER_VARIABLE
from benchmarks import prompts
from benchmarks.client import BenchmarkError, stream
from benchmarks.peers import LLAMA_SERVER, MADE, ServerOptions

ROOT = Path(__file__).resolve().parent.parent
PEERS = {"llama-server": "llama_server", "mistralrs": "mistral_rs"}
COMPILED = MADE / "compiled"
"""llama.cpp's libraries compiled here, by `make bench COMPILED=1`."""
MODEL = "measured"
START_SECONDS = 120.0
_STOP_SECONDS = 30.0
_LAST_WORDS = 800


class Child:
    """A process with pipes for input and output, and its errors in a log file."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        """Starts it."""
        self.log = log
        self._printed = b""
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def write_line(self, line: str) -> None:
        """Send a line. The next read fails if the process has ended."""
        with suppress(BrokenPipeError):
            self._pipe(self._process.stdin).write(line.encode() + b"\n")
            self._pipe(self._process.stdin).flush()

    def read_line(self, prefix: str) -> str:
        """The rest of the next line that begins with `prefix`; servers print their logs as well.

        Raises:
            BenchmarkError: there is none in `START_SECONDS`, or the process ended.
        """
        deadline = time.perf_counter() + START_SECONDS
        while True:
            line, newline, rest = self._printed.partition(b"\n")
            if not newline:
                self._printed += self._read_some(deadline)
                continue
            self._printed = rest
            if line.startswith(prefix.encode()):
                return line[len(prefix) :].decode().strip()

    def _read_some(self, deadline: float) -> bytes:
        output = self._pipe(self._process.stdout)
        left = max(0.0, deadline - time.perf_counter())
        came, _, _ = select.select([output], [], [], left)
        data = os.read(output.fileno(), 1 << 16) if came else b""
        if not data:
            tail = self.log.read_text("utf-8", "replace")[-_LAST_WORDS:].strip()
            raise BenchmarkError(f"{self.log.stem} did not answer; its log ends: {tail}")
        return data

    def stop(self, number: int | None = None) -> None:
        """Close its input, send the signal `number` if given, and wait; kill it on a timeout."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                self._pipe(pipe).close()
        if number is not None and self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


class Appliance:
    """`appliance serve` with its own folders, which are kept when it ends."""

    def __init__(
        self,
        folder: Path,
        *program: str,
        variables: dict[str, str] | None = None,
        libraries: Path | None = None,
        model: Path | None = None,
        **settings: object,
    ) -> None:
        """Start it and wait until the model is loaded.

        Args:
            folder: for everything that it writes.
            program: Python's arguments; empty: the appliance itself.
            variables: environment variables, besides the settings.
            libraries: the folder of llama.cpp's libraries; None: the installed ones.
            model: the file to offer instead of the embedded one, by the name `MODEL`.
            settings: names such as `engine_n_ctx` and their values.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if model is not None:
            config = folder / "config" / "appliance" / "config.toml"
            config.parent.mkdir(parents=True, exist_ok=True)
            config.write_text(
                f"[[models.available_models]]\nid = {json.dumps(MODEL)}\n"
                f"path = {json.dumps(str(model))}\n",
                "utf-8",
            )
        environment = {
            **_clean_environment(),
            **{f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("CONFIG", "CACHE")},
            "APPLIANCE_DATA_DIR": str(folder / "data"),
            "APPLIANCE_SERVER_PORT": "0",
            **{f"APPLIANCE_{key.upper()}": _text(value) for key, value in settings.items()},
            **(variables or {}),
            **_with(libraries),
        }
        began = time.perf_counter()
        command = [sys.executable, *(program or ("-m", "appliance")), "serve"]
        self._child = Child(command, folder / "appliance.log", environment)
        try:
            self.url = self._child.read_line("The appliance is at ")
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - began

    def _wait_ready(self) -> None:
        deadline = time.perf_counter() + START_SECONDS
        while not is_ready(self.url):
            if time.perf_counter() > deadline:
                raise BenchmarkError(f"the appliance was not ready in {START_SECONDS:.0f} s")
            time.sleep(0.005)

    @property
    def process(self) -> psutil.Process:
        """The appliance's main process."""
        return psutil.Process(self._child.pid)

    def memory(self) -> int:
        """PSS in bytes of the appliance and its workers."""
        return _memory([self.process, *self.process.children(recursive=True)])

    def model_file(self) -> Path | None:
        """The model file that its worker has mapped; None if that cannot be determined."""
        for child in self.process.children(recursive=True):
            with suppress(psutil.Error, AttributeError):
                for region in child.memory_maps():
                    if region.path.endswith(".gguf"):
                        return Path(region.path)
        return None

    def stop(self) -> None:
        """With SIGTERM."""
        self._child.stop(signal.SIGTERM)


def tune(folder: Path, seconds: float, libraries: Path | None) -> None:
    """Have the appliance find the model's fastest settings on this machine, with these libraries.

    It stores them in `folder`/appliance/tuned.

    Raises:
        BenchmarkError: tuning failed.
    """
    environment = {**_clean_environment(), **_with(libraries), "XDG_CACHE_HOME": str(folder)}
    command = [sys.executable, "-m", "appliance", "tune", "--seconds", str(seconds)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"tuning failed: {done.stderr[-_LAST_WORDS:]}")


class Peer:
    """Another server."""

    def __init__(self, name: str, options: ServerOptions, log: Path) -> None:
        """Start it and wait until it has answered once.

        Raises:
            BenchmarkError: it is not installed, or does not work.
        """
        self._child = _peer(PEERS[name], options, log)
        try:
            self.url = "http://" + self._child.read_line("http://")
            stream(self.url, prompts.warm_up())
        except BaseException:
            self.stop()
            raise

    def memory(self) -> int:
        """PSS in bytes of the program that the peer's process runs."""
        return _memory(psutil.Process(self._child.pid).children(recursive=True))

    def stop(self) -> None:
        """With its input."""
        self._child.stop()


class Bare:
    """The bare loop over llama.cpp, in its own process."""

    def __init__(self, options: ServerOptions, log: Path, libraries: Path | None = None) -> None:
        """Start it and wait until the model is loaded."""
        command = [sys.executable, "-m", "benchmarks.peers.bare", options.as_json()]
        self._child = Child(command, log, {**_clean_environment(), **_with(libraries)})
        try:
            self.load_seconds: float = _figures(self._child)["load_seconds"]
        except BaseException:
            self.stop()
            raise

    def alone(self, body: prompts.Body) -> dict[str, float]:
        """The loop's measurements for one chat; see `peers.bare`."""
        return self._ask({"prompt": _as_text(body), "tokens": body["max_tokens"]})

    def together(self, bodies: list[prompts.Body]) -> dict[str, float]:
        """The same for several chats at the same time."""
        texts = [_as_text(body) for body in bodies]
        return self._ask({"prompts": texts, "tokens": bodies[0]["max_tokens"]})

    def _ask(self, request: dict[str, Any]) -> dict[str, float]:
        self._child.write_line(json.dumps(request))
        return _figures(self._child)

    def stop(self) -> None:
        """With its input."""
        self._child.stop()


class Busy:
    """A process that keeps one core busy; it ends with this one."""

    _CODE = (
        "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n for _ in range(10**6): 0"
    )

    def __init__(self, log: Path) -> None:
        """Starts it."""
        self._child = Child([sys.executable, "-c", self._CODE], log, _clean_environment())

    def stop(self) -> None:
        """With SIGKILL."""
        self._child.stop(signal.SIGKILL)


def _as_text(body: prompts.Body) -> str:
    turns = "".join(
        f"<|im_start|>{each['role']}\n{each['content']}<|im_end|>\n" for each in body["messages"]
    )
    return turns + "<|im_start|>assistant\n"


def _memory(processes: list[psutil.Process]) -> int:
    found = 0
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            found += one.memory_full_info().pss
    return found


def _figures(loop: Child) -> dict[str, float]:
    found: dict[str, float] = json.loads("{" + loop.read_line("{"))
    return found


def _peer(module: str, options: ServerOptions, log: Path) -> Child:
    python = MADE / "bin" / "python"
    if not (python.is_file() and LLAMA_SERVER.is_file()):
        raise BenchmarkError("the other servers are not installed; `make bench` does it")
    command = [str(python), "-m", f"benchmarks.peers.{module}", options.as_json()]
    return Child(command, log, _clean_environment())


def _clean_environment() -> dict[str, str]:
    """The environment without settings for the appliance, llama.cpp or numbers of threads."""
    mine = ("APPLIANCE_", "GGML_", "GOMP_", "LLAMA_", "OMP_", "RAYON_")
    return {key: value for key, value in os.environ.items() if not key.startswith(mine)}


def _with(libraries: Path | None) -> dict[str, str]:
    if libraries is None:
        return {}
    if not (libraries / ".done").is_file():
        raise BenchmarkError("llama.cpp was not compiled; `make bench COMPILED=1` does it")
    return {FOLDER_VARIABLE: str(libraries)}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_ready(url: str) -> bool:
    """Whether `/readiness` answers with status 200."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", "/readiness")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def describe(options: ServerOptions) -> dict[str, Any]:
    """For the head of the report."""
    return {**options.__dict__, "model": Path(options.model).name}
