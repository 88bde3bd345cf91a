"""A runner without a model, for scheduler, fault and load tests alone.

Tokens are bytes. Every token of a reply depends on all that came before it, so that a wrong cell
shows; a prompt with `echo:TEXT` and then a byte 3 or `<|im_end|>` is answered with TEXT, the last
there is. The environment bends it: FAKE_STEP_SECONDS a step, FAKE_N_CELLS of KV cache, FAKE_DEVICES
beside the processor, FAKE_TOKEN_BYTES in a token, for replies that come at the pace of a model's,
FAKE_CHAT_TEMPLATE for prompts and replies in its form. A prompt that begins with `endless:` is
never read to its end. Run as a program, this is a worker.
"""

import os
import re
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Collection, Sequence

from appliance.engine.protocol import PROCESSOR, AssessedDevice, Device, Load, ModelInfo
from appliance.engine.types import SamplingParams
from appliance.errors import RequestError
from appliance.worker import main
from appliance.worker.constraints.compiler import GrammarVocabulary
from appliance.worker.constraints.constraint import Constraint
from appliance.worker.runners.base import Batch, EmbeddingModel, LoadError, NoRoom, SlotBytes
from appliance.worker.runners.checkpoints import Checkpointing, Cut, State

END = 0
FATAL = list(b"!!")
"""A sequence that ends with this text crashes the worker."""


def next_letter(text: bytes) -> int:
    """The next letter of a sequence."""
    return ord("a") + zlib.crc32(text) % 26


def reply_to(prompt: str, count: int) -> str:
    """The first `count` letters of the reply to a prompt, however it was scheduled."""
    text = prompt.encode()
    for _ in range(count):
        text += bytes([next_letter(text)])
    return text[len(prompt.encode()) :].decode()


class Cell:
    """One cell of the KV cache; slots that share it hold the same object."""

    def __init__(self, token: int) -> None:
        self.token = token


class FakeSampler:
    """Chooses letters by a checksum of all that the slot holds."""

    def __init__(self, runner: "FakeRunner", written: int) -> None:
        self._runner = runner
        self._written = written
        self.groups = [1] * written
        self._wanted: list[int] | None = None

    ready = True
    mirostat_mu: float | None = None

    def sample(self, output: int) -> list[int]:
        if self._wanted is None:
            text = self._runner.text_at(output)
            _, echo, rest = text.rpartition(b"echo:")
            if not echo:
                return [next_letter(text)]
            wanted = rest.split(b"\x03")[0].split(b"<|im_end|>")[0]
            self._wanted = self._runner.tokens_of(wanted)[self._written :][::-1]
        return [self._wanted.pop() if self._wanted else END]

    def logprobs(self, output: int, token: int, top: int) -> list[tuple[int, float]]:
        return [(token, 0.0)] * (top + 1)

    def close(self) -> None:
        self._runner.open_samplers -= 1


def vector_of(text: str | bytes) -> bytes:
    """The fake embedding of a text."""
    check = zlib.crc32(text.encode() if isinstance(text, str) else text)
    return struct.pack("<2f", check & 0xFFFF, check >> 16)


class FakeEmbedder:
    """Vectors by a checksum of all that a slot holds. Short batches, few cells and slots."""

    dimensions = 2
    n_batch = 16
    n_slots = 3
    whole = False

    def __init__(self, n_cells: int, step_seconds: float) -> None:
        self.n_cells = n_cells
        self._step_seconds = step_seconds
        self._cells: dict[int, bytes] = {}

    def compute(self, batch: Batch) -> None:
        assert 0 < len(batch.tokens) <= self.n_batch
        time.sleep(self._step_seconds)
        for token, position, slot in zip(batch.tokens, batch.positions, batch.slots, strict=True):
            held = self._cells.get(slot, b"")
            assert position == len(held)
            assert 0 <= slot < self.n_slots
            self._cells[slot] = held + bytes([token])
        assert sum(map(len, self._cells.values())) <= self.n_cells

    def vector(self, slot: int) -> bytes:
        return vector_of(self._cells[slot])

    def clear(self, slot: int) -> None:
        self._cells.pop(slot, None)

    def close(self) -> None:
        self._cells.clear()


def gpu(name: str) -> Device:
    """Of a family that has one."""
    return Device(name=f"{name}0", description=name, kind="gpu", family=name, free=1, total=1)


class FakeRunner:
    """Keeps the cells as lists of tokens and checks that every batch continues them."""

    bos = eos = ""
    chat_template = os.environ.get("FAKE_CHAT_TEMPLATE")
    n_vocab = 256
    slot_bytes = SlotBytes(0, 1)
    generates = True
    least_together = 2
    cuts: "re.Pattern[str] | None" = None
    checkpointing: Checkpointing | None = None
    ends = (END,)
    threads = (0, 0)
    fingerprint = "fake"

    def __init__(self, load: Load, progress: Callable[[float, tuple[str, ...]], None]) -> None:
        if load.path == "crash":
            os.abort()
        if load.path != "fake":
            raise LoadError(f"there is no model file {load.path}")
        progress(0.5, ())
        time.sleep(float(os.environ.get("FAKE_LOAD_SECONDS", "0")))
        self.n_cells = int(os.environ.get("FAKE_N_CELLS", load.n_ctx or 4096))
        self._step_seconds = float(os.environ.get("FAKE_STEP_SECONDS", "0"))
        self._decoded_at = 0.0
        self._token_bytes = int(os.environ.get("FAKE_TOKEN_BYTES", "1"))
        self.partitioned = not load.kv_unified
        self.cells: dict[int, list[Cell]] = {}
        self.computed = 0
        self.shared = self.saved = 0
        self.open_samplers = 0
        self._entries: list[tuple[int, int]] = []
        there = os.environ.get("FAKE_DEVICES", "").split()
        self.info = ModelInfo(
            description="fake",
            n_ctx=self.n_cells,
            n_ctx_train=self.n_cells,
            n_params=0,
            size=0,
            n_seq_max=load.n_seq_max,
            device=load.device if load.device in there else "cpu",
            devices=(
                AssessedDevice(device=PROCESSOR),
                *(AssessedDevice(device=gpu(name)) for name in there),
            ),
        )

    def special_token_texts(self) -> list[str]:
        return []

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        if text.startswith("endless:"):
            threading.Event().wait()
        return self.tokens_of(text.encode())

    def tokens_of(self, text: bytes) -> list[int]:
        """What is left over for the last one is less than a token holds."""
        size = self._token_bytes
        if size == 1:
            return list(text)
        return [int.from_bytes(text[at : at + size]) for at in range(0, len(text), size)]

    def with_bos(self, tokens: list[int]) -> list[int]:
        return tokens

    def token_to_bytes(self, token: int) -> bytes:
        return token.to_bytes(self._token_bytes).lstrip(b"\0") or b"\0"

    def token_text(self, token: int) -> bytes:
        return self.token_to_bytes(token)

    fill_in = None

    pair_template = None

    def pair(self, query: str, text: str) -> list[int]:
        return self.tokenize(f"{query}\n{text}", parse_special=False)

    def preserve_tokens(self, texts: Collection[str]) -> None:
        return

    def is_end_of_generation(self, token: int) -> bool:
        return token == END

    def grammar_vocabulary(self) -> GrammarVocabulary:
        raise RequestError("the fake runner keeps to no grammar")

    def sampler(
        self,
        params: SamplingParams,
        seed: int,
        prompt: Sequence[int],
        constraint: Constraint | None = None,
        written: Sequence[int] = (),
    ) -> FakeSampler:
        self.open_samplers += 1
        return FakeSampler(self, len(written))

    def decode(self, batch: Batch) -> None:
        if not self.partitioned and self.held() + len(batch.tokens) > self.n_cells:
            raise NoRoom
        if self._step_seconds:
            # Time spent since the previous step counts, unless it was long ago: steps come at
            # that pace, or slower.
            since = time.monotonic() - self._decoded_at
            time.sleep(max(0.0, self._step_seconds - (since if since < 1 else 0)))
            self._decoded_at = time.monotonic()
        for token, position, slot in zip(batch.tokens, batch.positions, batch.slots, strict=True):
            cells = self.cells.setdefault(slot, [])
            assert position == len(cells), f"slot {slot} holds {len(cells)}, got {position}"
            cells.append(Cell(token))
        for slot in set(batch.slots):
            if [cell.token for cell in self.cells[slot][-2:]] == FATAL:
                os.abort()
        self.computed += len(batch.tokens)
        self._entries = list(zip(batch.slots, batch.positions, strict=True))

    def text_at(self, output: int) -> bytes:
        """All text in the slot of a batch entry, up to that entry."""
        slot, position = self._entries[output]
        cells = self.cells[slot][: position + 1]
        if self._token_bytes == 1:
            return bytes(cell.token for cell in cells)
        return b"".join(self.token_to_bytes(cell.token) for cell in cells)

    def held(self) -> int:
        """Cells in use, those that several slots hold counted once."""
        return len({id(cell) for cells in self.cells.values() for cell in cells})

    def use_threads(self, count: int) -> None:
        raise AssertionError("this runner has no threads to choose from")

    def min_length(self, slot: int) -> int:
        return 0

    def min_saved_length(self, length: int) -> int:
        return 0

    def checkpoint(self, slot: int) -> bytes:
        raise NotImplementedError

    def truncate(self, slot: int, length: int, cut: Cut | None = None) -> int:
        del self.cells.setdefault(slot, [])[length:]
        return length

    def copy_prefix(self, source: int, target: int, length: int, cut: Cut | None = None) -> bool:
        assert not self.cells.get(target)
        self.cells[target] = self.cells[source][:length]
        self.shared += length
        return True

    def save(self, slot: int) -> bytes:
        self.saved += 1
        size = self._token_bytes
        return b"".join(cell.token.to_bytes(size) for cell in self.cells[slot])

    def restore(self, slot: int, state: State) -> bool:
        assert not self.cells.get(slot)
        size = self._token_bytes
        tokens = (int.from_bytes(state[at : at + size]) for at in range(0, len(state), size))
        self.cells[slot] = [Cell(token) for token in tokens]
        return True

    def tokenize_with_special(self, text: str) -> list[int]:
        return self.tokenize(text, parse_special=False)

    def embedding_model(self) -> EmbeddingModel:
        return EmbeddingModel(FakeEmbedder.dimensions, self.n_cells)

    def embedder(self, longest: int) -> "FakeEmbedder":
        return FakeEmbedder(max(32, longest), self._step_seconds)

    def close(self) -> None:
        self.cells.clear()


if __name__ == "__main__":
    sys.exit(main.main(FakeRunner))
