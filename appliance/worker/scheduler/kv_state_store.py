"""Saved KV states: in host memory, and in files that outlive the worker. Pure Python.

The step loop puts states in and takes them out; one thread writes files. A state is found by
comparing tokens, never by a hash alone. The whole store is a cache: what cannot be read is dropped
and computed again.
"""

import logging
import mmap
import os
import queue
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from appliance.engine.kv_files import READING, SUFFIX, saved_files, unlink
from appliance.engine.protocol import CachedFrom
from appliance.system.files import replace_file
from appliance.worker.runners.checkpoints import Checkpoint, State, usable_length
from appliance.worker.scheduler.prompt_tokens import PromptTokens, Scope

log = logging.getLogger(__name__)

MAGIC = b"APPLKV2\n"
_LENGTH = struct.Struct("<I")
_MAX_HEAD = 64 * 1024 * 1024
COVERED = 16
"""Tokens by which a stored state may fall short and still count as holding a sequence."""


class FileHeader(msgspec.Struct, frozen=True):
    """What stands before the state in a file."""

    fingerprint: str
    tokens: bytes
    """32-bit, this machine's byte order."""
    tokens_check: int
    """CRC-32 of the tokens."""
    size: int
    """Bytes of the state and the checkpoints behind it."""
    check: int
    """CRC-32 of all that."""
    owner: str
    """Opaque."""
    marks: list[tuple[int, int, bool]] = []
    """Of each checkpoint, in order: tokens before it, bytes, and whether a turn ended there."""
    alone: str = ""
    """See `Scope`."""


class FoundState(msgspec.Struct, frozen=True):
    """A state with the tokens it stands for."""

    tokens: PromptTokens
    state: State
    origin: CachedFrom
    checkpoints: list[Checkpoint] = []


@dataclass(slots=True, eq=False)
class StoredState:
    """One state, in memory, in a file, or both."""

    tokens: PromptTokens
    size: int
    used: int
    marks: list[int] = field(default_factory=list)
    """Tokens before its checkpoints, in order."""
    state: State | None = None
    checkpoints: list[Checkpoint] = field(default_factory=list)
    file: Path | None = None
    evict_after_write: bool = False
    """Memory has no room for it: the state goes once it is in a file."""
    dropped: bool = False

    @property
    def session(self) -> str:
        """The session that it belongs to, see `Scope`; a state of none is never written."""
        return self.tokens.scope.session

    def empty(self) -> None:
        """Free its memory."""
        self.state = None
        self.checkpoints = []


class KvStateStore:
    """States of one model. The public methods belong to the step loop."""

    def __init__(
        self,
        *,
        fingerprint: str,
        folder: Path | None,
        memory_bytes: int,
        disk_bytes: int,
        min_tokens: int,
        min_length: Callable[[int], int],
        reach: int = 0,
    ) -> None:
        """
        Args:
            fingerprint: everything that a state depends on; states of another one are not used.
            folder: for files of all models; None: memory only.
            memory_bytes: states kept in memory; 0: none.
            disk_bytes: of all files in the folder, whichever model they belong to.
            min_tokens: shorter sequences are not worth keeping.
            min_length: see `runners.base.KvMemory.min_saved_length`.
            reach: see `runners.checkpoints.Checkpointing`.
        """
        self.persistent = bool(folder and disk_bytes)
        """States outlive the worker."""
        self._fingerprint = fingerprint
        self._root = folder if disk_bytes else None
        self._folder = self._root / fingerprint if self._root else None
        self._memory_bytes = memory_bytes
        self._disk_bytes = disk_bytes
        self._min_tokens = min_tokens
        self._min_length = min_length
        self._reach = reach
        self._entries: list[StoredState] = []
        self._clock = 0
        self._names = 0
        self._lock = threading.Lock()
        """Guards `file`, `state` and `dropped` of entries, which the writer sets too."""
        self._to_write: queue.SimpleQueue[StoredState | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        if self._folder:
            self._open(self._folder)

    # -- finding ---------------------------------------------------------------------------------

    def cached_prefix(self, tokens: PromptTokens) -> int:
        """Length of the longest prefix of `tokens` that a state can restore."""
        best = self._best(tokens)
        return best[0] if best else 0

    def common_prefix(self, tokens: PromptTokens) -> int:
        """Length of the longest prefix that a state shares, even if it can't be truncated to it."""
        return max((entry.tokens.common_prefix(tokens) for entry in self._entries), default=0)

    def sequences(self) -> Iterator[PromptTokens]:
        """Of all states, the one used longest ago first."""
        return (one.tokens for one in sorted(self._entries, key=lambda one: one.used))

    def take(self, tokens: PromptTokens) -> FoundState | None:
        """The state with the longest usable prefix. None: there is none that can be read."""
        while best := self._best(tokens):
            entry = best[1]
            self._clock += 1
            entry.used = self._clock
            with self._lock:
                state, checkpoints, file = entry.state, entry.checkpoints, entry.file
            if state is not None:
                return FoundState(entry.tokens, state, "memory", checkpoints)
            if file is not None:
                found = self._read(file, entry.tokens)
                if found is not None:
                    return found
            self._drop(entry)
        return None

    def should_save(self, tokens: PromptTokens) -> bool:
        """Whether a state of these tokens is worth storing and not stored already."""
        if len(tokens) < self._min_tokens or not (self._memory_bytes or self._folder):
            return False
        kept = bool(tokens.scope.session)
        best = self._best(tokens, kept=kept)
        return (best[0] if best else 0) < len(tokens) - COVERED

    @property
    def memory_held(self) -> int:
        """Bytes of the states in memory."""
        return sum(entry.size for entry in self._entries if entry.state is not None)

    def checkpoints_held(self) -> Iterator[State]:
        """Checkpoints of the states in memory; `memory_held` has their bytes."""
        return (one.state for entry in self._entries for one in entry.checkpoints)

    # -- keeping ---------------------------------------------------------------------------------

    def put(
        self, tokens: PromptTokens, state: State, checkpoints: Sequence[Checkpoint] = ()
    ) -> None:
        """Keep a state; it takes the place of those that it continues, and outlives as they do."""
        for entry in self._entries[:]:
            as_long = tokens.scope.session or not entry.session
            if as_long and entry.tokens.common_prefix(tokens) == len(entry.tokens):
                self._drop(entry)
        self._clock += 1
        entry = StoredState(tokens, len(state), self._clock, state=state)
        entry.checkpoints = list(checkpoints)
        entry.marks = [one.length for one in checkpoints]
        entry.size += sum(len(one.state) for one in checkpoints)
        self._entries.append(entry)
        self._fit_memory()

    def write_idle(self) -> None:
        """The worker is idle: begin to write what sessions have in memory only."""
        for entry in self._entries:
            self._write_later(entry)

    def forget(self, session: str) -> None:
        """Drop all states of a session, by its opaque name, its files too."""
        for entry in [entry for entry in self._entries if entry.session == session]:
            self._drop(entry)

    def close(self) -> None:
        """Write what sessions have in memory only, newest first, and end the writer."""
        for entry in sorted(self._entries, key=lambda entry: -entry.used):
            self._write_later(entry)
        if self._writer:
            self._to_write.put(None)
            self._writer.join()

    # -- inside: entries -------------------------------------------------------------------------

    def _best(self, tokens: PromptTokens, *, kept: bool = False) -> tuple[int, StoredState] | None:
        """`kept`: of sessions alone, whose states are kept on disk."""
        best: tuple[int, StoredState] | None = None
        for entry in self._entries:
            if kept and not entry.session:
                continue
            held = len(entry.tokens)
            common = entry.tokens.common_prefix(tokens)
            shortest = self._min_length(held)
            length = usable_length(common, held, shortest, entry.marks, self._reach)
            if length and (best is None or length > best[0]):
                best = (length, entry)
        return best

    def _fit_memory(self) -> None:
        """Evict the states used longest ago from memory, those of sessions to disk if there is
        one."""
        held = [entry for entry in self._entries if entry.state is not None]
        over = sum(entry.size for entry in held) - self._memory_bytes
        for entry in sorted(held, key=lambda entry: entry.used):
            if over <= 0:
                return
            if entry.evict_after_write and entry.state is not None:
                over -= entry.size  # on its way out
                continue
            over -= entry.size
            if self._folder is None or not entry.session:
                self._drop(entry)
            else:
                with self._lock:
                    entry.evict_after_write = True
                    if entry.file:
                        entry.empty()
                self._write_later(entry)

    def _drop(self, entry: StoredState) -> None:
        self._entries.remove(entry)
        with self._lock:
            entry.dropped = True
            entry.empty()
            file = entry.file
        if file:
            unlink(file)

    # -- inside: files ---------------------------------------------------------------------------

    def _open(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime):
            if file.suffix != SUFFIX or file.name.endswith(READING):
                unlink(file)  # the last worker ended while it wrote or read it
                continue
            try:
                head, _ = _read_head(file, self._fingerprint)
            except (OSError, ValueError) as ex:
                log.warning("saved state %s is dropped: %s", file.name, ex)
                unlink(file)
                continue
            self._clock += 1
            session = file.name.partition("-")[0]
            scope = Scope(owner=head.owner, session=session, alone=head.alone)
            tokens = PromptTokens.from_bytes(head.tokens, scope)
            marks = [length for length, _, _ in head.marks]
            entry = StoredState(tokens, head.size, self._clock, marks=marks, file=file)
            self._entries.append(entry)

    def _read(self, file: Path, tokens: PromptTokens) -> FoundState | None:
        """The file is mapped: to copy it, memory would have to be found and cleared first, which
        takes longer than all the rest. A disk that fails then ends this worker, and the next one
        finds that it was reading."""
        reading = file.with_suffix(READING)
        try:
            head, start = _read_head(file, self._fingerprint)
            file.rename(reading)
            with reading.open("rb") as stream:
                # Never written to, but ctypes needs a writable buffer.
                whole = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
            parts = memoryview(whole)[start:]
            if zlib.crc32(parts) != head.check:
                raise ValueError("it is damaged")
            reading.rename(file)
            os.utime(file)
        except (OSError, ValueError) as ex:
            log.warning("saved state %s is dropped: %s", file.name, ex)
            unlink(reading)
            return None
        end = at = head.size - sum(size for _, size, _ in head.marks)
        checkpoints = []
        for length, size, turn in head.marks:
            checkpoints.append(Checkpoint(length, bytes(parts[at : at + size]), turn))
            at += size
        return FoundState(tokens, parts[:end], "disk", checkpoints)

    def _write_later(self, entry: StoredState) -> None:
        if self._folder is None or entry.file is not None or entry.state is None:
            return
        if not entry.session:
            return
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_all, name="kv writer", daemon=True)
            self._writer.start()
        self._to_write.put(entry)

    def _write_all(self) -> None:
        while (entry := self._to_write.get()) is not None:
            try:
                self._write(entry)
            except OSError as ex:
                log.warning("a state could not be saved: %s", ex)
                with self._lock:
                    if entry.evict_after_write:
                        entry.empty()

    def _write(self, entry: StoredState) -> None:
        assert self._folder
        with self._lock:
            state, checkpoints = entry.state, entry.checkpoints
            if entry.dropped or entry.file or state is None:
                return
            self._names += 1
            name = f"{entry.session}-{os.getpid()}-{self._names}"
        tokens = entry.tokens.to_bytes()
        parts = [state, *(one.state for one in checkpoints)]
        check = 0
        for part in parts:
            check = zlib.crc32(part, check)
        head = msgspec.msgpack.encode(
            FileHeader(
                self._fingerprint,
                tokens,
                zlib.crc32(tokens),
                sum(map(len, parts)),
                check,
                entry.tokens.scope.owner,
                [(one.length, len(one.state), one.turn) for one in checkpoints],
                entry.tokens.scope.alone,
            )
        )
        partial = self._folder / f"{name}.part"
        file = partial.with_suffix(SUFFIX)
        replace_file(file, MAGIC + _LENGTH.pack(len(head)) + head, *parts, partial=partial)
        with self._lock:
            entry.file = file
            if entry.evict_after_write:
                entry.empty()
            dropped = entry.dropped
        if dropped:
            unlink(file)
        self._fit_disk(file)

    def _fit_disk(self, newest: Path) -> None:
        assert self._root
        files = sorted(
            ((file.stat().st_mtime, file.stat().st_size, file) for file in saved_files(self._root)),
            key=lambda row: (row[2] == newest, row[0]),
        )
        over = sum(size for _, size, _ in files) - self._disk_bytes
        for _, size, file in files:
            if over <= 0:
                return
            over -= size
            unlink(file)


def _read_head(file: Path, fingerprint: str) -> tuple[FileHeader, int]:
    """The head, and where the state begins.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a state of this fingerprint.
    """
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise ValueError("it is no saved state")
        raw = stream.read(_LENGTH.size)
        if len(raw) < _LENGTH.size:
            raise ValueError("it is cut short")
        (length,) = _LENGTH.unpack(raw)
        if length > _MAX_HEAD:
            raise ValueError("it is damaged")
        head = msgspec.msgpack.decode(stream.read(length), type=FileHeader)
    start = len(MAGIC) + _LENGTH.size + length
    if head.fingerprint != fingerprint:
        raise ValueError("it belongs to another model or build")
    whole = file.stat().st_size == start + head.size and len(head.tokens) % 4 == 0
    most = len(head.tokens) // 4
    whole = whole and sum(size for _, size, _ in head.marks) <= head.size
    whole = whole and all(0 <= length <= most and size > 0 for length, size, _ in head.marks)
    if not whole or zlib.crc32(head.tokens) != head.tokens_check:
        raise ValueError("it is damaged")
    return head, start
