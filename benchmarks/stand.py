"""The test stand: settings, the servers that several rows share, and runs that take turns."""

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from appliance import paths
from benchmarks import prompts
from benchmarks.client import BenchmarkError, stream
from benchmarks.peers import Given
from benchmarks.servers import PEERS, Appliance, Bare, Peer, tune

OURS = "appliance"
BARE = "bare llama.cpp"
LLAMA_SERVER = "llama-server"
SAME_FILE = " on the appliance's file"
PEER_SECONDS = 150.0
"""Another server that has used up this much of a row's time is not run again in it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What every row goes by."""

    threads: int
    repeat: int
    peers: tuple[str, ...]
    quick: bool = False
    slots: int = 8
    cells: int = 16384
    """Tokens of context for all slots together."""

    @property
    def max_tokens(self) -> int:
        """Of a reply whose speed is measured."""
        return 24 if self.quick else 128

    @property
    def long(self) -> int:
        """Words of a long prompt, about as many tokens."""
        return 200 if self.quick else 960


class Stand:
    """Starts servers when a row asks for them and keeps them for the next ones."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is started yet."""
        self.settings = settings
        self.shipped = paths.embedded_model()
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        self.scratch = Path(self._folder)
        self._running = self._stack.enter_context(ExitStack())
        self._ours: Appliance | None = None
        self._layout: Path | None = None
        self._servers: dict[tuple[str, Path], Peer | Bare] = {}

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Everything ends and its files go."""
        self._stack.close()

    def release(self) -> None:
        """End the servers that rows share."""
        self._running.close()
        self._ours = None
        self._servers.clear()

    def log(self, name: str) -> Path:
        """Where a process writes its errors."""
        return self.scratch / f"{name}.log"

    # -- servers -----------------------------------------------------------------------------------

    def start_ours(
        self, folder: str, *, slots: int, threads: int, kv_unified: str = "auto"
    ) -> Appliance:
        """An appliance that the caller stops; `threads` 0: as it likes."""
        self._hand_out_tuned(self.scratch / folder)
        cells = self.settings.cells
        return Appliance(
            self.scratch / folder,
            engine_n_ctx=cells if kv_unified == "on" else cells // slots,
            engine_n_seq_max=slots,
            engine_kv_unified=kv_unified,
            engine_n_threads=threads,
        )

    def _hand_out_tuned(self, folder: Path) -> None:
        """Tune once, as the appliance does by itself; all of them have it from the start."""
        home = self.scratch / "tuned"
        found = home / "appliance" / "tuned"
        if not found.is_dir():
            tune(home, 10.0 if self.settings.quick else 60.0)
        place = folder / "cache" / "appliance" / "tuned"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in found.iterdir():
            if not (place / file.name).exists():
                (place / file.name).hardlink_to(file)

    def ours(self) -> Appliance:
        """The one that rows share."""
        if self._ours is None:
            settings = self.settings
            self._ours = self.start_ours("ours", slots=settings.slots, threads=settings.threads)
            self._running.callback(self._ours.stop)
            stream(self._ours.url, prompts.question(8, -1, 8))
        return self._ours

    def layout(self) -> Path:
        """The file that the appliance runs: the one it came with, or a faster form of it."""
        if self._layout is None:
            found = self.ours().model_file()
            if found is None or found.samefile(self.shipped):
                found = self.shipped
            self._layout = found
        return self._layout

    def given(self, model: Path) -> Given:
        """What servers are told."""
        settings = self.settings
        return Given(str(model), settings.cells, settings.slots, settings.threads)

    def bare(self, model: Path) -> Bare:
        """The loop that rows share."""
        found = self._servers.get((BARE, model))
        if not isinstance(found, Bare):
            found = self._keep(BARE, model, Bare(self.given(model), self.log(f"bare-{model.stem}")))
            found.run(prompts.question(8, -1, 8))
        return found

    def peer(self, name: str, model: Path) -> Peer:
        """Another server that rows share."""
        found = self._servers.get((name, model))
        if not isinstance(found, Peer):
            log = self.log(f"{name}-{model.stem}")
            found = self._keep(name, model, Peer(name, self.given(model), log))
            stream(found.url, prompts.question(8, -1, 8))
        return found

    def _keep(self, name: str, model: Path, server: T) -> T:
        assert isinstance(server, Peer | Bare)
        self._running.callback(server.stop)
        self._servers[name, model] = server
        return server

    def drop(self, name: str) -> None:
        """Stop a server that failed: it may still be busy, at the cost of the others."""
        for key in [key for key in self._servers if name in (key[0], key[0] + SAME_FILE)]:
            self._servers.pop(key).stop()

    # -- who takes part ----------------------------------------------------------------------------

    def same_file(self, name: str) -> str:
        """What `name` is called when it runs the appliance's file."""
        return name if self.layout() == self.shipped else name + SAME_FILE

    def servers(self) -> dict[str, Callable[[], str]]:
        """The appliance and the peers that take part: each starts if it does not run, and gives its
        address.

        llama-server is there twice if the appliance has a faster form of the file: on both of them.
        """
        found: dict[str, Callable[[], str]] = {OURS: lambda: self.ours().url}
        for name in (name for name in PEERS if name in self.settings.peers):
            found[name] = partial(self._url, name, self.shipped)
            if name == LLAMA_SERVER:
                found[self.same_file(name)] = partial(self._url, name, self.layout())
        return found

    def _url(self, name: str, model: Path) -> str:
        return self.peer(name, model).url


def take_turns(
    entrants: Mapping[str, Callable[[int], T]],
    repeat: int,
    notes: list[str],
    failed: Callable[[str], None] = lambda _: None,
    afterwards: Callable[[], None] = lambda: None,
) -> dict[str, list[T]]:
    """A B C A B C …: what changes on the machine meanwhile changes for all.

    Args:
        entrants: called with 0 … repeat - 1.
        notes: gets a sentence for each that failed or was too slow to run as often as the others.
        failed: is told the name of one that failed, and may end what it still does.
        afterwards: called when each had its turn.
    """
    results: dict[str, list[T]] = {name: [] for name in entrants}
    spent = dict.fromkeys(entrants, 0.0)
    out: set[str] = set()
    for turn in range(repeat):
        for name, run in entrants.items():
            if name in out:
                continue
            if name != OURS and spent[name] > PEER_SECONDS:
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
