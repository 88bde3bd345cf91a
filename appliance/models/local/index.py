"""The index of every model file on this machine, wherever it is and whichever program keeps it.

Files stay where they are. The folders are scanned on request, not by the clock: an idle machine is
left alone.
"""

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from appliance.errors import Conflict
from appliance.models.gguf.header import GgufHeader
from appliance.models.local.metadata_cache import MetadataCache, ModelFacts, read_facts
from appliance.models.local.ollama import NO_DEFAULTS, ModelDefaults
from appliance.models.local.sources import Candidate, ModelSource, Owner, candidate_at, candidates
from appliance.models.memory.fit import MemoryNeeds

log = logging.getLogger(__name__)

FRESH_SECONDS = 0.25
"""For which a scan counts as fresh."""

_KEEPERS = {
    "bundled": "it came with the appliance",
    "folder": "it is in a folder that is not the appliance's: remove the file there",
    "huggingface": "it is in Hugging Face's cache: `hf cache rm` removes it",
    "lmstudio": "it is LM Studio's, which removes it under My Models",
    "ollama": "it is Ollama's: `ollama rm` removes it",
    "llama.cpp": "it is in llama.cpp's cache: remove the file there",
}


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """A model on this machine."""

    id: str
    name: str
    owner: Owner
    """The program that keeps the file, and alone may remove it; `appliance`: this one."""
    path: Path
    files: tuple[Path, ...]
    repo: str = ""
    """Where on the hub it came from, if that is known."""
    facts: ModelFacts
    defaults: ModelDefaults = NO_DEFAULTS

    @property
    def loads(self) -> bool:
        """Whether it can be on offer."""
        return not self.facts.fault


class ConfiguredFile(msgspec.Struct, frozen=True):
    """A model that the configuration lists or that came with the appliance. Its file is in the
    index under this id, wherever else it is found; without a file here, the id is taken."""

    id: str
    name: str
    path: Path | None
    owner: Owner = "folder"


class ModelIndex:
    """All models on this machine. Thread-safe."""

    def __init__(
        self,
        sources: Sequence[ModelSource],
        configured: Callable[[], Iterable[ConfiguredFile]],
        *,
        memory_needs: Callable[[GgufHeader], MemoryNeeds],
        cache: MetadataCache,
    ) -> None:
        """
        Args:
            sources: folders to scan; a file that is in two of them counts as of the first.
            configured: called at every scan.
            memory_needs: memory that a model takes as it would be loaded.
            cache: facts of files that were read before.
        """
        self.on_change: Callable[[Sequence[ModelFile], Sequence[ModelFile]], object] = _nothing
        """Called with the files that are new and those that are gone, one scan at a time."""
        self._sources = sources
        self._configured = configured
        self._memory_needs = memory_needs
        self._cache = cache
        self._entries: tuple[ModelFile, ...] = ()
        self._no_models: dict[str, str] = {}
        """What files are that are no models, by what they would be called."""
        self._scanning = threading.Lock()
        self._scanned_at = 0.0

    def entries(self) -> tuple[ModelFile, ...]:
        """The files of the last scan; `refresh` scans again."""
        return self._entries

    def find(self, name: str) -> ModelFile | None:
        """The model with that id."""
        return next((entry for entry in self._entries if entry.id == name), None)

    def why_not_offered(self, name: str) -> str | None:
        """Why a file that may be called so is not on offer; None: there is none."""
        entry = self.find(name)
        return (entry.facts.fault or None) if entry else self._no_models.get(name)

    def refresh(self, *, at_once: bool = False) -> tuple[ModelFile, ...]:
        """Scan again, unless that was just done, and return what is there.

        Args:
            at_once: also if it was just done.
        """
        requested = time.monotonic()
        with self._scanning:
            # A caller that waited for another's scan uses its result.
            if not at_once and self._scanned_at > requested - FRESH_SECONDS:
                return self._entries
            before = self._entries
            found = tuple(self._scan())
            self._entries = found
            self._scanned_at = time.monotonic()
            new = [entry for entry in found if entry not in before]
            gone = [entry for entry in before if entry not in found]
            if new or gone:
                self.on_change(new, gone)
            return found

    def _scan(self) -> Iterable[ModelFile]:
        configured = list(self._configured())
        ids = {one.id for one in configured}
        seen: set[tuple[tuple[int, int], bytes]] = set()
        no_models = {}
        for one, candidate in self._candidates(configured):
            mark = _mark(candidate.path)
            facts = self._facts(candidate)
            if facts is None or mark is None or (mark, candidate.defaults.key) in seen:
                continue
            if not facts.model:
                no_models[one.id if one else candidate.name] = facts.fault
                continue
            seen.add((mark, candidate.defaults.key))
            id = one.id if one else _free(candidate.name, candidate.owner, ids)
            ids.add(id)
            yield ModelFile(
                id=id,
                name=one.name if one else id,
                owner=candidate.owner,
                path=candidate.path,
                files=candidate.files,
                repo=candidate.repo,
                facts=facts,
                defaults=candidate.defaults,
            )
        self._no_models = no_models
        self._cache.save()

    def _candidates(
        self, configured: Iterable[ConfiguredFile]
    ) -> Iterable[tuple[ConfiguredFile | None, Candidate]]:
        for one in configured:
            if one.path is not None:
                yield one, candidate_at(one.path, one.owner)
        for source in self._sources:
            try:
                for candidate in candidates(source):
                    yield None, candidate
            except OSError as ex:
                log.warning("not all of %s could be looked at: %s", source.folder, ex)

    def _facts(self, candidate: Candidate) -> ModelFacts | None:
        """Whatever is wrong with a file, the others are on offer."""
        try:
            return self._read_facts(candidate)
        except Exception as ex:
            log.exception("%s cannot be examined", candidate.path)
            return ModelFacts(fault=f"{candidate.path.name} cannot be examined: {ex}")

    def _read_facts(self, candidate: Candidate) -> ModelFacts | None:
        if candidate.missing:
            count = len(candidate.files) + candidate.missing
            return ModelFacts(fault=f"{candidate.missing} of its {count} files are missing")
        return self._cache.facts(candidate.files, self._read)

    def _read(self, path: Path) -> ModelFacts:
        return read_facts(path, self._memory_needs)


def _nothing(_new: Sequence[ModelFile], _gone: Sequence[ModelFile]) -> None: ...


def _mark(path: Path) -> tuple[int, int] | None:
    """What two names of the same file have in common."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _free(name: str, owner: Owner, taken: set[str]) -> str:
    """The name, or one like it that is not taken."""
    if name not in taken:
        return name
    ours = f"{name}@{owner}"
    numbered = (f"{ours}-{number}" for number in itertools.count(2))
    return next(id for id in itertools.chain([ours], numbered) if id not in taken)


def remove(entry: ModelFile, *, before: Callable[[], None]) -> None:
    """Remove the files of a model that is in our folder, and the folders that they leave empty.

    Args:
        before: called when it is certain that it will be tried.

    Raises:
        Conflict: they are not ours, or cannot be removed; the message says why.
    """
    if entry.owner != "appliance":
        raise Conflict(f"{entry.id} stays: {_KEEPERS[entry.owner]} ({entry.path})", param="model")
    before()
    for file in entry.files:
        try:
            file.unlink(missing_ok=True)
        except OSError as ex:
            raise Conflict(f"{file} cannot be removed: {ex.strerror}", param="model") from ex
    steps = len(entry.repo.split("/")) if entry.repo else 0
    folder = entry.path.parent
    with contextlib.suppress(OSError):  # it has something else in it
        for _ in range(steps):
            folder.rmdir()
            folder = folder.parent
