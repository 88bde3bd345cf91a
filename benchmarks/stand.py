"""The test stand: settings, the servers that several rows share, and runs that take turns."""

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from appliance.config import paths
from benchmarks import prompts
from benchmarks.client import BenchmarkError, stream
from benchmarks.peers import ServerOptions
from benchmarks.servers import COMPILED, PEERS, Appliance, Bare, Peer, tune

OURS = "appliance"
BARE = "bare llama.cpp"
LLAMA_SERVER = "llama-server"
ON_COMPILED = ", compiled here"
SAME_FILE = " on the appliance's file"
PEER_SECONDS = 150.0
"""Another server that has taken this many seconds of a row is not run again in it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """Settings that all rows share."""

    threads: int
    repeat: int
    peers: tuple[str, ...]
    quick: bool = False
    slots: int = 8
    cells: int = 16384
    """Tokens of context for all slots together."""

    @property
    def max_tokens(self) -> int:
        """Length of a reply whose speed is measured."""
        return 24 if self.quick else 128

    @property
    def long(self) -> int:
        """Words of a long prompt; about as many tokens."""
        return 200 if self.quick else 960


class Stand:
    """Starts servers when a row needs them and keeps them for the next rows."""

    def __init__(self, settings: Settings) -> None:
        """Starts nothing yet."""
        self.settings = settings
        self.shipped = paths.embedded_model()
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        self.scratch = Path(self._folder)
        self._running = self._stack.enter_context(ExitStack())
        self._ours: dict[Path | None, Appliance] = {}
        self._layouts: dict[Path | None, Path] = {}
        self._servers: dict[tuple[str, Path], Peer | Bare] = {}

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stops all servers and deletes their files."""
        self._stack.close()

    def release(self) -> None:
        """Stop the shared servers."""
        self._running.close()
        self._ours.clear()
        self._servers.clear()

    def log(self, name: str) -> Path:
        """The log file of a process."""
        return self.scratch / f"{name}.log"

    # -- servers -----------------------------------------------------------------------------------

    def start_ours(
        self,
        folder: str,
        *,
        slots: int,
        threads: int,
        kv_unified: str = "auto",
        libraries: Path | None = None,
    ) -> Appliance:
        """An appliance that the caller stops.

        Args:
            threads: 0: the appliance decides.
            libraries: see `Appliance`.
        """
        self._hand_out_tuned(self.scratch / folder, libraries)
        cells = self.settings.cells
        return Appliance(
            self.scratch / folder,
            libraries=libraries,
            engine_n_ctx=cells if kv_unified == "on" else cells // slots,
            engine_n_seq_max=slots,
            engine_kv_unified=kv_unified,
            engine_n_threads=threads,
        )

    def _hand_out_tuned(self, folder: Path, libraries: Path | None) -> None:
        """Tune once, as the appliance does by itself; all appliances start with the result."""
        home = self.scratch / ("tuned-compiled" if libraries else "tuned")
        found = home / "appliance" / "tuned"
        if not found.is_dir():
            tune(home, 10.0 if self.settings.quick else 60.0, libraries)
        place = folder / "cache" / "appliance" / "tuned"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in found.iterdir():
            if not (place / file.name).exists():
                (place / file.name).hardlink_to(file)

    def ours(self, libraries: Path | None = None) -> Appliance:
        """The appliance that rows share."""
        found = self._ours.get(libraries)
        if found is None:
            settings = self.settings
            found = self._ours[libraries] = self.start_ours(
                "ours-compiled" if libraries else "ours",
                slots=settings.slots,
                threads=settings.threads,
                libraries=libraries,
            )
            self._running.callback(found.stop)
            stream(found.url, prompts.warm_up())
        return found

    def layout(self, libraries: Path | None = None) -> Path:
        """The file that the appliance runs: the embedded one, or a faster, converted copy."""
        if libraries not in self._layouts:
            found = self.ours(libraries).model_file()
            if found is None or found.samefile(self.shipped):
                found = self.shipped
            self._layouts[libraries] = found
        return self._layouts[libraries]

    def options(self, model: Path) -> ServerOptions:
        """The options of a server for this model."""
        settings = self.settings
        return ServerOptions(str(model), settings.cells, settings.slots, settings.threads)

    def bare(self, model: Path, libraries: Path | None = None) -> Bare:
        """The bare loop that rows share."""
        name = BARE + (ON_COMPILED if libraries else "")
        found = self._servers.get((name, model))
        if not isinstance(found, Bare):
            log = self.log(f"{name}-{model.stem}")
            found = self._keep(name, model, Bare(self.options(model), log, libraries))
            found.alone(prompts.warm_up())
        return found

    def peer(self, name: str, model: Path) -> Peer:
        """Another server that rows share."""
        found = self._servers.get((name, model))
        if not isinstance(found, Peer):
            log = self.log(f"{name}-{model.stem}")
            found = self._keep(name, model, Peer(name, self.options(model), log))
        return found

    def _keep(self, name: str, model: Path, server: T) -> T:
        assert isinstance(server, Peer | Bare)
        self._running.callback(server.stop)
        self._servers[name, model] = server
        return server

    def drop(self, name: str) -> None:
        """Stop a server that failed: it may still be busy and slow the others down."""
        for key in [key for key in self._servers if name in (key[0], key[0] + SAME_FILE)]:
            self._servers.pop(key).stop()

    # -- participants ------------------------------------------------------------------------------

    def same_file(self, name: str) -> str:
        """The name of the server `name` when it runs the appliance's file."""
        return name if self.layout() == self.shipped else name + SAME_FILE

    def servers(self) -> dict[str, Callable[[], str]]:
        """The appliance and the selected peers: functions that start one if needed and return its
        address.

        llama-server is listed twice if the appliance runs a converted copy: once on each file.
        """
        found: dict[str, Callable[[], str]] = {OURS: lambda: self.ours().url}
        for name in (name for name in PEERS if name in self.settings.peers):
            found[name] = partial(self._url, name, self.shipped)
            if name == LLAMA_SERVER:
                found[self.same_file(name)] = partial(self._url, name, self.layout())
        if COMPILED.name in self.settings.peers:
            found[OURS + ON_COMPILED] = lambda: self.ours(COMPILED).url
        return found

    def loops(self) -> dict[str, Callable[[], Bare]]:
        """The selected bare loops: functions that start one if needed."""
        found: dict[str, Callable[[], Bare]] = {}
        if "bare" in self.settings.peers:
            found[BARE] = lambda: self.bare(self.shipped)
            found[self.same_file(BARE)] = lambda: self.bare(self.layout())
        if COMPILED.name in self.settings.peers:
            found[BARE + ON_COMPILED] = lambda: self.bare(self.layout(COMPILED), COMPILED)
        return found

    def _url(self, name: str, model: Path) -> str:
        return self.peer(name, model).url


def take_turns(
    entrants: Mapping[str, Callable[[int], T]],
    repeat: int,
    notes: list[str],
    failed: Callable[[str], None] = lambda _: None,
    afterwards: Callable[[], None] = lambda: None,
    patience: float = PEER_SECONDS,
) -> dict[str, list[T]]:
    """Runs A B C A B C …, so that changes on the machine affect all of them.

    Args:
        entrants: called with 0 … repeat - 1.
        notes: receives a sentence for each that failed or was too slow to run as often as others.
        failed: called with the name of one that failed; may stop what it still does.
        afterwards: called after each turn of all.
        patience: see `PEER_SECONDS`.
    """
    results: dict[str, list[T]] = {name: [] for name in entrants}
    spent = dict.fromkeys(entrants, 0.0)
    out: set[str] = set()
    for turn in range(repeat):
        for name, run in entrants.items():
            if name in out:
                continue
            if name != OURS and spent[name] > patience:
                out.add(name)
                notes.append(f"{name} was slow and ran {turn} times, not {repeat}")
                continue
            began = time.perf_counter()
            try:
                results[name].append(run(turn))
            except BenchmarkError as error:
                out.add(name)
                notes.append(f"{name} failed: {error}")
                failed(name)
            spent[name] += time.perf_counter() - began
        afterwards()
    return results
