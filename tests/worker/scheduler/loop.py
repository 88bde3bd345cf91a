"""A minimal step loop on the fake runner's memory, for tests of scheduling."""

import zlib
from typing import Any

from appliance.engine.types import SamplingParams
from appliance.worker.runners.base import NoRoom
from appliance.worker.runners.checkpoints import Checkpointing, Cut
from appliance.worker.scheduler.kv_state_store import KvStateStore
from appliance.worker.scheduler.prefix_cache import WORTH_MOVING, PrefixCache
from appliance.worker.scheduler.prompt_tokens import PromptTokens, Scope
from appliance.worker.scheduler.scheduler import ScheduledBatch, Scheduler
from appliance.worker.scheduler.sequence import ALONE_CHUNK, Sequence
from appliance.worker.scheduler.slots import Cells
from tests.engine.conftest import load_of
from tests.engine.fake_runner import FakeRunner, FakeSampler, next_letter, reply_to


def sequence(
    id: int, prompt: str, limit: int = 4, scope: Scope | None = None, *, alone: bool = False
) -> Sequence:
    """`alone`: it is to be reproducible."""
    tokens = PromptTokens(list(prompt.encode()), Scope(alone="here") if alone else scope)
    sampling = SamplingParams(reproducible=alone)
    return Sequence(id, tokens, sampling, sampler=Silent(), seed=0, max_completion_tokens=limit)


class Silent:
    """The loop of these tests samples without a sequence's own sampler."""

    ready = True
    groups: tuple[int, ...] = ()
    mirostat_mu: float | None = None

    def sample(self, output: int) -> list[int]:
        raise NotImplementedError

    def logprobs(self, output: int, token: int, top: int) -> list[tuple[int, float]]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Loop:
    """A minimal step loop: schedule, decode, sample."""

    def __init__(
        self,
        n_slots: int = 4,
        n_cells: int = 1000,
        n_batch: int = 16,
        partitioned: bool = False,
        memory_bytes: int = 0,
        singly: bool = False,
        make: type[FakeRunner] = FakeRunner,
    ) -> None:
        load = load_of("fake", n_ctx=n_cells, n_seq_max=n_slots, kv_unified=not partitioned)
        self.runner = make(load, lambda *_: None)
        self.n_batch = n_batch
        self.store = KvStateStore(
            fingerprint="fake",
            folder=None,
            memory_bytes=memory_bytes,
            disk_bytes=0,
            min_tokens=WORTH_MOVING,
            min_length=self.runner.min_saved_length,
            reach=kind.reach if (kind := self.runner.checkpointing) else 0,
        )
        self.cache = PrefixCache(
            self.runner,
            self.store,
            n_slots=n_slots,
            n_cells=n_cells,
            partitioned=partitioned,
            checkpoint_bytes=memory_bytes,
            alone_chunk=ALONE_CHUNK,
        )
        self.scheduler = Scheduler(
            self.cache, n_batch=n_batch, partitioned=partitioned, singly=singly
        )
        self.done: list[Sequence] = []

    def step(self) -> ScheduledBatch:
        batch = self.scheduler.schedule()
        assert 0 < len(batch.tokens) <= self.n_batch
        slots = [s.slot for s, _ in batch.parts]
        assert len(set(slots)) == len(slots)
        if self.cache.partitioned:  # in another order llama.cpp computes them one after the other
            assert slots == sorted(slots, key=lambda slot: slot or 0)
        try:
            self.runner.decode(batch)
        except NoRoom:
            assert self.scheduler.no_room(), "nothing could be done"
            return batch
        self.scheduler.computed(batch)
        self.check()
        for output, seq in zip(batch.outputs, batch.samples, strict=True):
            for token in self.runner.sampler(SamplingParams(), 0, ()).sample(output):
                seq.append(token)
                if seq.n_completion >= seq.max_completion_tokens:
                    break
            if seq.n_completion >= seq.max_completion_tokens:
                self.scheduler.remove(seq)
                self.done.append(seq)
        return batch

    def check(self) -> None:
        """Checks that the cache's bookkeeping matches the cells."""
        for slot in self.cache.slots:
            held = [cell.token for cell in self.runner.cells.get(slot.index, [])]
            assert held == list(slot.tokens)
        if not self.cache.partitioned:
            assert Cells.count(self.cache.slots) == self.runner.held()

    def run(self, *sequences: Sequence) -> None:
        for seq in sequences:
            self.scheduler.add(seq)
        for _ in range(10_000):
            if self.scheduler.idle:
                return
            self.step()
        raise AssertionError("does not come to an end")

    def check_replies(self, wanted: list[tuple[str, str, int, int]]) -> None:
        """Run sequences, each with the beginning and the end of a prompt, a third of its limit and
        the step at which it arrives; every reply is that of its prompt."""
        todo = [
            (at, sequence(i, begin + ending, limit * 3))
            for i, (begin, ending, limit, at) in enumerate(wanted)
        ]
        for step in range(5000):
            for _, seq in [entry for entry in todo if entry[0] == step]:
                self.scheduler.add(seq)
            if not self.scheduler.idle:
                self.step()
            elif step > 30:
                break
        assert len(self.done) == len(wanted)
        for seq in self.done:
            prompt = bytes(list(seq.tokens[: seq.n_prompt])).decode()
            assert reply(seq) == reply_to(prompt, seq.max_completion_tokens)


def text(letters: str, count: int) -> str:
    """So many characters of the letters again and again."""
    return (letters * count)[:count]


def reply(seq: Sequence) -> str:
    return bytes(list(seq.tokens[seq.n_prompt :])).decode()


class InGroups(FakeRunner):
    """Several letters at once, as where a grammar leaves no choice; the same ones."""

    def sampler(self, *_: Any) -> FakeSampler:
        return _GroupSampler(self, 0)


class _GroupSampler(FakeSampler):
    def sample(self, output: int) -> list[int]:
        text = self._runner.text_at(output)
        begun = len(text)
        for _ in range(1 + zlib.crc32(text) % 7):
            text += bytes([next_letter(text)])
        return list(text[begun:])


class Uncuttable(FakeRunner):
    """Like a recurrent model: a state can be kept or cleared, but not truncated."""

    def min_length(self, slot: int) -> int:
        return len(self.cells.get(slot, []))

    def min_saved_length(self, length: int) -> int:
        return length

    def truncate(self, slot: int, length: int, cut: Cut | None = None) -> int:
        return super().truncate(slot, length if length == self.min_length(slot) else 0)

    def copy_prefix(self, source: int, target: int, length: int, cut: Cut | None = None) -> bool:
        assert length == len(self.cells[source])
        return super().copy_prefix(source, target, length)


class Recurrent(Uncuttable):
    """Whose state can be copied."""

    checkpointing = Checkpointing(100, 0)

    def checkpoint(self, slot: int) -> bytes:
        return bytes(cell.token for cell in self.cells[slot])

    def truncate(self, slot: int, length: int, cut: Cut | None = None) -> int:
        held = self.cells.get(slot, [])
        if cut is None:
            assert length in (0, len(held)), "it was to be cut in vain"
        else:
            self._check(cut, bytes(cell.token for cell in held[:length]))
        return FakeRunner.truncate(self, slot, length)

    def copy_prefix(self, source: int, target: int, length: int, cut: Cut | None = None) -> bool:
        held = self.cells[source]
        if cut is None:
            assert length == len(held)
        else:
            self._check(cut, bytes(cell.token for cell in held[:length]))
        return FakeRunner.copy_prefix(self, source, target, length)

    def _check(self, cut: Cut, wanted: bytes) -> None:
        assert cut.before
        assert cut.before.state == wanted
        assert cut.before.length == len(wanted)
