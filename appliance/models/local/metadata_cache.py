"""The metadata of model files, read once and cached.

A header takes up to 200 ms to read and megabytes to hold, and a machine may have a hundred models:
so these few numbers are kept, in memory and in a file, as long as the model's files stay the same.
"""

import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from appliance.errors import BadModelFile
from appliance.models.gguf.header import GgufHeader, is_legacy_ggml
from appliance.models.gguf.purpose import only_embeds, part_of_another, why_not_run
from appliance.models.gguf.shards import Stamp, read_whole, stamp
from appliance.models.local.abilities import takes_tools, thinks
from appliance.models.memory.fit import MemoryNeeds
from appliance.system.files import replace_file

log = logging.getLogger(__name__)

VERSION = 6
"""The version of the file; a file of another version is not read."""
MOST_REMEMBERED = 2000


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's header says; what it does not say is empty or 0."""

    name: str = ""
    architecture: str = ""
    quantization: str = ""
    context_length: int = 0
    """Tokens that it was trained with."""
    licence: str = ""
    size: int = 0
    """Bytes of all its files."""
    parameters: int = 0
    embeds: bool = False
    """It makes vectors out of texts, and writes none."""
    tools: bool = False
    """Its chat template knows of tools."""
    thinks: bool = False
    """It may think before it answers."""
    weight: MemoryNeeds = MemoryNeeds()
    fault: str = ""
    """Why it cannot be loaded; empty: it can."""
    model: bool = True
    """False: a GGUF file, but not of a model that stands for itself; `fault` says what it is."""


def read_facts(path: Path, weigh: Callable[[GgufHeader], MemoryNeeds]) -> ModelFacts:
    """The facts of the model whose first file is `path`; for a bad file, its fault."""
    try:
        header = read_whole(path)
        part = part_of_another(header)
        if part:
            return ModelFacts(model=False, fault=part)
        why_not = why_not_run(header)
        return ModelFacts(
            name=header.name or "",
            architecture=header.architecture,
            quantization=header.quantization,
            context_length=header.context_length,
            licence=header.licence or "",
            size=header.file_size,
            parameters=sum(math.prod(tensor.dims) for tensor in header.tensors),
            embeds=only_embeds(header),
            tools=takes_tools(header.chat_template or ""),
            thinks=thinks(header.chat_template or ""),
            weight=MemoryNeeds() if why_not else weigh(header),
            fault=why_not,
        )
    except BadModelFile as ex:
        return ModelFacts(fault=ex.message, model=not _is_old(path))


def _is_old(path: Path) -> bool:
    """Whether it is in the old GGML format, which is not for everybody to load: its family must
    be named."""
    try:
        return is_legacy_ggml(path)
    except BadModelFile:
        return False


class _Remembered(msgspec.Struct, frozen=True):
    stamp: Stamp
    facts: ModelFacts


class _File(msgspec.Struct, frozen=True):
    version: int
    key: str
    models: dict[str, _Remembered]


class MetadataCache:
    """Facts of files that were read before. For one thread at a time."""

    def __init__(self, file: Path | None, key: str) -> None:
        """
        Args:
            file: where they are kept over restarts; None: nowhere.
            key: whatever else the facts depend on.
        """
        self._file = file
        self._key = key
        self._models: dict[str, _Remembered] = {}
        self._used: set[str] = set()
        self._changed = False
        if file is not None:
            with contextlib.suppress(OSError, ValueError):
                kept = msgspec.json.decode(file.read_bytes(), type=_File)
                if (kept.version, kept.key) == (VERSION, key):
                    self._models = kept.models

    def facts(self, files: Sequence[Path], read: Callable[[Path], ModelFacts]) -> ModelFacts | None:
        """The facts of the model with these files; `read` is called when they are new or changed.
        None: a file is gone."""
        now = stamp(files)
        if now is None:
            return None
        name = str(files[0])
        self._used.add(name)
        known = self._models.get(name)
        if known is None or known.stamp != now:
            try:
                known = _Remembered(now, read(files[0]))
            except OSError as ex:
                # Not kept: the disk may read it the next time.
                return ModelFacts(fault=f"{files[0].name} cannot be read: {ex.strerror or ex}")
            self._models[name] = known
            self._changed = True
        return known.facts

    def save(self) -> None:
        """Keep what was used since the last time, and drop the rest."""
        if len(self._used) < len(self._models):
            self._models = {name: self._models[name] for name in self._used}
            self._changed = True
        self._used.clear()
        if not self._changed or self._file is None:
            return
        self._changed = False
        kept = dict(list(self._models.items())[:MOST_REMEMBERED])
        try:
            replace_file(self._file, msgspec.json.encode(_File(VERSION, self._key, kept)))
        except OSError as ex:
            log.warning("the cache of model metadata cannot be saved: %s", ex)
