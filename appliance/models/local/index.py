"""The shelf: every model file on this machine, wherever it is and whoever keeps it.

Files stay where they are. The folders are looked through when somebody asks, not by the clock: a
machine at rest is left alone.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from appliance.models.gguf.header import GgufHeader
from appliance.models.local.metadata_cache import Facts, Memory, Weight, read_facts
from appliance.models.local.sources import Candidate, Owner, Place, candidate_at, candidates

log = logging.getLogger(__name__)

FRESH_SECONDS = 0.25
"""How long the shelf is believed without looking again."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A model on the shelf."""

    id: str
    name: str
    owner: Owner
    """The program that keeps the file, and alone may remove it; `appliance`: we do."""
    path: Path
    files: tuple[Path, ...]
    repo: str = ""
    """Where on the hub it came from, if that is known."""
    facts: Facts

    @property
    def loads(self) -> bool:
        """Whether it can be on offer."""
        return not self.facts.fault


class Given(msgspec.Struct, frozen=True):
    """A model that the configuration lists or that came with the appliance. Its file is on the
    shelf under this id, wherever else it is found; without a file here, the id is taken."""

    id: str
    name: str
    path: Path | None
    owner: Owner = "folder"


class Shelf:
    """All models on this machine. Thread-safe."""

    def __init__(
        self,
        places: Sequence[Place],
        given: Callable[[], Iterable[Given]],
        *,
        weigh: Callable[[GgufHeader], Weight],
        memory: Memory,
    ) -> None:
        """
        Args:
            places: where to look; of a file that is in two of them, the first has it.
            given: asked at every look.
            weigh: memory that a model takes as it would be loaded.
            memory: facts of files that were read before.
        """
        self.on_change: Callable[[Sequence[Entry], Sequence[Entry]], None] = lambda new, gone: None  # noqa: ARG005
        """Called with what came and what went, one change at a time."""
        self._places = places
        self._given = given
        self._weigh = weigh
        self._memory = memory
        self._entries: tuple[Entry, ...] = ()
        self._looking = threading.Lock()
        self._looked = 0.0

    def entries(self) -> tuple[Entry, ...]:
        """What was found the last time; `refresh` looks again."""
        return self._entries

    def find(self, name: str) -> Entry | None:
        """The model with that id."""
        return next((entry for entry in self._entries if entry.id == name), None)

    def refresh(self, *, at_once: bool = False) -> tuple[Entry, ...]:
        """Look again, unless somebody just did, and return what is there.

        Args:
            at_once: also if somebody just did.
        """
        asked = time.monotonic()
        with self._looking:
            # Whoever waited for another's look has what that one saw.
            if not at_once and self._looked > asked - FRESH_SECONDS:
                return self._entries
            before = self._entries
            found = tuple(self._look())
            self._entries = found
            self._looked = time.monotonic()
            new = [entry for entry in found if entry not in before]
            gone = [entry for entry in before if entry not in found]
            if new or gone:
                self.on_change(new, gone)
            return found

    def _look(self) -> Iterable[Entry]:
        given = list(self._given())
        ids = {one.id for one in given}
        files: set[tuple[int, int]] = set()
        for one, candidate in self._candidates(given):
            mark = _mark(candidate.path)
            facts = self._facts(candidate)
            if facts is None or mark is None or mark in files or not facts.model:
                continue
            files.add(mark)
            id = one.id if one else _free(candidate.name, candidate.owner, ids)
            ids.add(id)
            yield Entry(
                id=id,
                name=one.name if one else id,
                owner=candidate.owner,
                path=candidate.path,
                files=candidate.files,
                repo=candidate.repo,
                facts=facts,
            )
        self._memory.save()

    def _candidates(self, given: Iterable[Given]) -> Iterable[tuple[Given | None, Candidate]]:
        for one in given:
            if one.path is not None:
                yield one, candidate_at(one.path, one.owner)
        for place in self._places:
            for candidate in candidates(place):
                yield None, candidate

    def _facts(self, candidate: Candidate) -> Facts | None:
        if candidate.missing:
            count = len(candidate.files) + candidate.missing
            return Facts(fault=f"{candidate.missing} of its {count} files are missing")
        return self._memory.facts(candidate.files, self._read)

    def _read(self, path: Path) -> Facts:
        return read_facts(path, self._weigh)


def _mark(path: Path) -> tuple[int, int] | None:
    """What two names of the same file have in common."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _free(name: str, owner: Owner, taken: set[str]) -> str:
    """The name, or one like it that nobody has."""
    if name not in taken:
        return name
    ours = f"{name}@{owner}"
    numbered = (f"{ours}-{number}" for number in itertools.count(2))
    return next(id for id in itertools.chain([ours], numbered) if id not in taken)
