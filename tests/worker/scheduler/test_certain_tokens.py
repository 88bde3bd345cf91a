"""Tokens that a grammar leaves no choice about: computed in one step, and otherwise like any.

The step loop and the real models in this process, so that each step can be looked at.
"""

import json
from collections.abc import Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from appliance.config import paths
from appliance.engine.protocol import Begun, Delta, Event, Failed, Finished, Shutdown, Timings
from appliance.engine.types import SamplingParams
from appliance.worker.constraints import check
from appliance.worker.constraints.compiler import ConstraintCompiler, Wanted
from appliance.worker.runners.base import Batch
from appliance.worker.runners.llama_cpp.runner import LlamaRunner
from appliance.worker.scheduler.prompt_tokens import PromptTokens, Scope
from appliance.worker.scheduler.sequence import Sequence
from appliance.worker.scheduler.step_loop import StepLoop
from tests.engine.conftest import load_of

KEYS = ("name_of_the_animal_itself", "is_it_a_domestic_animal", "kind_of_food_that_it_prefers")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        KEYS[0]: {"type": "string", "maxLength": 12},
        KEYS[1]: {"type": "boolean"},
        KEYS[2]: {"enum": ["meat", "grass", "both of these"]},
    },
    "required": list(KEYS),
    "additionalProperties": False,
}
PROMPT = "<|im_start|>user\nDescribe a cat.<|im_end|>\n<|im_start|>assistant\n"
GREEDY = SamplingParams(temperature=0, max_tokens=100)


class Recording(LlamaRunner):
    """Remembers how many tokens of each slot a step had."""

    steps: list[dict[int, int]]

    def decode(self, batch: Batch) -> None:
        super().decode(batch)
        counts = {slot: batch.slots.count(slot) for slot in batch.slots}
        self.__dict__.setdefault("steps", []).append(counts)


@dataclass
class Reply:
    """What came of a sequence."""

    finished: Finished
    text: str = ""
    tokens: list[int] = field(default_factory=list)
    deltas: list[Delta] = field(default_factory=list)
    steps: list[dict[int, int]] = field(default_factory=list)
    """All that were taken meanwhile."""


class Worker:
    """A model, and its step loop for each time."""

    def __init__(self, file: Path) -> None:
        load = load_of(str(file), n_threads=1, n_ctx=1024, n_seq_max=2, kv_unified=False)
        self.runner = Recording(load, lambda *_: None)
        self.compiler = ConstraintCompiler(self.runner, check.refusal)
        self._ended: dict[int, Finished | Failed] = {}
        self._events: list[Event] = []
        self._expected = 0
        self._ids = 0
        self.loop = StepLoop(self.runner, load, self._send)
        self._load = load

    def _send(self, events: list[Event]) -> None:
        self._events += events
        self._ended |= {e.id: e for e in events if isinstance(e, Finished | Failed)}
        if len(self._ended) == self._expected:
            self.loop.enqueue(Shutdown())

    def sequence(
        self,
        wanted: Wanted | None,
        sampling: SamplingParams = GREEDY,
        *,
        ahead: bool = True,
        begun: Several[int] | None = None,
        prompt: str = PROMPT,
    ) -> Sequence:
        self._ids += 1
        tokens = self.runner.tokenize(prompt, parse_special=True)
        bound = self.compiler.compile(wanted, ahead=ahead) if wanted else None
        seed = sampling.seed or 0
        made = Sequence(
            self._ids,
            PromptTokens(tokens, Scope(owner=str(self._ids))),  # nothing is found of another's
            sampling,
            sampler=self.runner.sampler(sampling, seed, tokens[-64:], bound, begun or ()),
            seed=seed,
            least_together=self.runner.least_together,
            max_completion_tokens=sampling.max_tokens or 100,
        )
        if begun is not None:
            before = Begun(
                seed=seed, tokens=list(begun), timings=Timings(queued=0, prefill=0, decode=0)
            )
            made.go_on(before, self.runner.token_to_bytes)
        return made

    def run(self, *sequences: Sequence) -> list[Reply]:
        self._ended, self._events, self._expected = {}, [], len(sequences)
        self.runner.steps = []
        for sequence in sequences:
            self.loop.enqueue(sequence)
        self.loop.run()
        self.loop = StepLoop(self.runner, self._load, self._send)
        for slot in range(2):
            self.runner.truncate(slot, 0)
        replies = []
        for sequence in sequences:
            finished = self._ended[sequence.id]
            assert isinstance(finished, Finished), finished
            deltas = [e for e in self._events if isinstance(e, Delta) and e.id == sequence.id]
            replies.append(
                Reply(
                    finished,
                    "".join(delta.text for delta in deltas),
                    [token for delta in deltas for token in delta.new_tokens],
                    deltas,
                    self.runner.steps,
                )
            )
        return replies

    def reply(self, *arguments: Any, **fields: Any) -> Reply:
        return self.run(self.sequence(*arguments, **fields))[0]

    def written(self, tokens: Several[int]) -> str:
        return b"".join(map(self.runner.token_to_bytes, tokens)).decode("utf-8", "replace")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker(paths.embedded_model())
    yield made
    made.runner.close()


def bound(schema: Any = SCHEMA) -> Wanted:
    return Wanted("json_schema", json.dumps(schema), "response_format")


def gbnf(text: str) -> Wanted:
    return Wanted("grammar", text, "grammar")


def test_they_take_one_step(worker: Worker) -> None:
    ahead, singly = worker.reply(bound()), worker.reply(bound(), ahead=False)
    for reply in (ahead, singly):
        assert jsonschema_rs.is_valid(SCHEMA, json.loads(reply.text)), reply.text
        assert reply.finished.reason == "stop"
        assert reply.finished.completion_tokens == len(reply.tokens)
        assert worker.written(reply.tokens) == reply.text
        computed = sum(count for step in reply.steps for count in step.values())
        assert computed == reply.finished.prompt_tokens + len(reply.tokens)
    assert len(singly.steps) > len(singly.tokens)
    assert len(ahead.steps) < len(ahead.tokens) / 1.5
    assert ahead.deltas[-1].tokens == len(ahead.tokens)


def test_another_vocabulary(gemma: Path) -> None:
    worker = Worker(gemma)
    reply = worker.reply(bound(), prompt="Describe a cat as JSON: ")
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(reply.text)), reply.text
    assert worker.written(reply.tokens) == reply.text
    assert len(reply.steps) < len(reply.tokens) / 1.5
    worker.runner.close()


def test_a_reply_ends_at_its_length_and_at_a_stop_text(worker: Worker) -> None:
    whole = worker.reply(bound())
    for most in (1, 2, 5, 11, 12, 13, 20, len(whole.tokens) - 1):
        cut = worker.reply(bound(), SamplingParams(temperature=0, max_tokens=most))
        assert cut.tokens == whole.tokens[:most]
        assert (cut.finished.reason, cut.finished.completion_tokens) == ("length", most)
        assert whole.text.startswith(cut.text)
    for stop in ("animal", "mest", "prefers", '"'):
        cut = worker.reply(bound(), SamplingParams(temperature=0, stop=(stop,), max_tokens=100))
        assert cut.text == whole.text.partition(stop)[0]
        assert (cut.finished.reason, cut.finished.stop_text) == ("stop", stop)
        used = cut.finished.completion_tokens
        assert stop in worker.written(whole.tokens[:used])
        assert stop not in worker.written(whole.tokens[: used - 1])


def test_asked_for_log_probabilities_each_has_its_own(worker: Worker) -> None:
    sampling = SamplingParams(temperature=0, max_tokens=100, logprobs=1)
    reply = worker.reply(bound(), sampling)
    entries = [entry for delta in reply.deltas for entry in delta.logprobs or ()]
    assert [entry.token.text for entry in entries] == [
        worker.runner.token_to_bytes(token) for token in reply.tokens
    ]
    assert all(sum(step.values()) == 1 for step in reply.steps[1:])
    assert len({entry.token.logprob for entry in entries}) > len(entries) / 2
    assert all(entry.token.logprob <= entry.top[0].logprob for entry in entries)


def test_penalties_know_them(worker: Worker) -> None:
    grammar = gbnf('root ::= "the cat, the cat, the cat, the cat and the" (" cat" | " dog")')
    prompt = "the cat, the cat, the cat and the cat. "
    for ahead in (True, False):
        plain = worker.reply(grammar, ahead=ahead, prompt=prompt)
        assert plain.text.endswith("the cat")
        against = SamplingParams(temperature=0, max_tokens=100, frequency_penalty=2.0)
        assert worker.reply(grammar, against, ahead=ahead, prompt=prompt).text.endswith("the dog")


@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_the_next_worker_goes_on_with_the_same_reply(worker: Worker, temperature: float) -> None:
    sampling = SamplingParams(temperature=temperature, max_tokens=100, seed=7)
    whole = worker.reply(bound(), sampling)
    assert worker.reply(bound(), sampling).tokens == whole.tokens
    for cut in (0, 1, 6, 11, 12, 14, 20, len(whole.tokens) - 1):
        rest = worker.reply(bound(), sampling, begun=whole.tokens[:cut])
        assert rest.tokens == whole.tokens[cut:]
        assert rest.finished.completion_tokens == len(whole.tokens)


def test_neighbours_have_a_token_in_every_step(worker: Worker) -> None:
    free = worker.sequence(None, SamplingParams(temperature=0, max_tokens=60, ignore_eos=True))
    kept = worker.sequence(bound())
    neighbour, reply = worker.run(free, kept)
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(reply.text)), reply.text
    assert neighbour.finished.completion_tokens == 60
    together = [step for step in neighbour.steps if len(step) == 2 and max(step.values()) < 10]
    assert together
    assert all(set(step.values()) == {1} for step in together)
