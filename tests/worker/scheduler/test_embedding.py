"""Embeddings: inputs share batches, and every request ends once."""

import os
import random
import signal
from array import array

from appliance.engine.base import Engine
from appliance.engine.protocol import Accepted, Embedded, Failed, Finished, SequenceEvent, Terminal
from appliance.engine.types import EmbedRequest, SamplingParams, TextPrompt, TokenPrompt
from appliance.worker.scheduler.embedding import Embedding, EmbeddingJob
from tests.engine.conftest import MakeEngine, load_of
from tests.engine.engine_client import CollectedReply
from tests.engine.fake_runner import FakeEmbedder, FakeRunner, reply_to, vector_of
from tests.engine.test_faults import ENDLESS, SLOW, until


class Vectors:
    """Submits a request for embeddings and collects its events."""

    def __init__(
        self, engine: Engine, *inputs: str | list[int], dimensions: int | None = None
    ) -> None:
        self.events: list[SequenceEvent] = []
        prompts = [TextPrompt(i) if isinstance(i, str) else TokenPrompt(i) for i in inputs]
        request = EmbedRequest(inputs=prompts, dimensions=dimensions)
        self.id = engine.embed(request, self.events.append)

    def end(self, seconds: float = 60) -> Terminal:
        """The one terminal event, and nothing after it."""
        until(lambda: any(isinstance(event, Terminal) for event in self.events), seconds)
        (end,) = [event for event in self.events if isinstance(event, Terminal)]
        assert self.events[-1] is end
        return end

    @property
    def embedded(self) -> Embedded:
        end = self.end()
        assert isinstance(end, Embedded), end
        assert isinstance(self.events[0], Accepted)
        assert self.events[0].prompt_tokens == end.prompt_tokens
        return end

    @property
    def failed(self) -> Failed:
        end = self.end()
        assert isinstance(end, Failed), end
        return end


def job(id: int, *texts: str) -> EmbeddingJob:
    return EmbeddingJob(id, [array("i", list(text.encode())) for text in texts])


def run(embedding: Embedding) -> list[SequenceEvent]:
    events: list[SequenceEvent] = []
    for _ in range(10_000):
        if not embedding.busy:
            return events
        events += embedding.step()  # type: ignore[arg-type]
    raise AssertionError("does not come to an end")


def new(*, whole: bool = False) -> Embedding:
    return Embedding((Wholes if whole else FakeRunner)(load_of("fake"), lambda *_: None))


class Wholes(FakeRunner):
    """Computes inputs in one piece."""

    def embedder(self, longest: int) -> FakeEmbedder:
        made = super().embedder(longest)
        made.whole = True
        made.n_batch = made.n_cells
        return made


# -- batches -------------------------------------------------------------------------------------


def test_short_inputs_share_a_batch() -> None:
    embedding = new()
    embedding.add(job(1, "one", "two", "three"))
    (done,) = embedding.step()
    assert done == Embedded(1, [vector_of(text) for text in ("one", "two", "three")], 11)
    assert not embedding.busy


def test_a_long_input_is_computed_in_chunks_beside_others() -> None:
    embedding = new()
    embedding.add(job(1, "a long text " * 5))
    embedding.add(job(2, "short"))
    assert run(embedding) == [
        Embedded(1, [vector_of("a long text " * 5)], 60),
        Embedded(2, [vector_of("short")], 5),
    ]


def test_a_small_request_does_not_wait_for_all_of_a_large_one() -> None:
    embedding = new()
    embedding.add(job(1, *(f"input number {i}" for i in range(100))))
    embedding.step()
    embedding.add(job(2, "me too"))
    events = run(embedding)
    assert [event.id for event in events] == [2, 1]


def test_a_request_that_is_removed_leaves_the_others() -> None:
    embedding = new()
    embedding.add(job(1, *("long " * 6 for _ in range(10))))
    embedding.add(job(2, "another", "two"))
    embedding.step()
    assert embedding.remove(1)
    assert not embedding.remove(1)
    assert run(embedding) == [Embedded(2, [vector_of("another"), vector_of("two")], 10)]


def test_each_input_gets_the_vectors_it_would_get_alone() -> None:
    chance = random.Random(5)
    for _ in range(50):
        embedding = new(whole=chance.random() < 0.5)
        wanted = {}
        for id in range(chance.randint(1, 6)):
            texts = ["x" * chance.randint(1, 90) + str(id) for _ in range(chance.randint(1, 9))]
            wanted[id] = [vector_of(text) for text in texts]
            embedding.add(job(id, *texts))
            for _ in range(chance.randint(0, 3)):
                for event in embedding.step() if embedding.busy else ():
                    assert isinstance(event, Embedded)
                    assert event.vectors == wanted.pop(event.id)
        for event in run(embedding):
            assert isinstance(event, Embedded)
            assert event.vectors == wanted.pop(event.id)
        assert not wanted


# -- engines -------------------------------------------------------------------------------------


def test_texts_and_tokens_in_their_order(make_fake: MakeEngine) -> None:
    engine = make_fake()
    end = Vectors(engine, "first", list(b"second"), "third").embedded
    assert end.vectors == [vector_of(text) for text in ("first", "second", "third")]
    assert engine.counters.prefilled_tokens == end.prompt_tokens == 16


def test_what_cannot_be_embedded_is_named(make_fake: MakeEngine) -> None:
    engine = make_fake(n_ctx=64)
    failed = Vectors(engine, "fine", [1, 2, 300]).failed
    assert (failed.code, failed.param) == ("invalid_request", "input[1]")
    failed = Vectors(engine, "fine", "x" * 65).failed
    assert (failed.code, failed.param) == ("context_length_exceeded", "input[1]")
    assert "65" in failed.message and "64" in failed.message
    failed = Vectors(engine, "fine", dimensions=3).failed
    assert (failed.code, failed.param) == ("invalid_request", "dimensions")
    assert Vectors(engine, "fine", dimensions=2).embedded.vectors == [vector_of("fine")]


def test_a_worker_that_dies_loses_no_request_for_vectors(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW)
    vectors = Vectors(engine, *("some text " * 20 for _ in range(20)))
    until(lambda: bool(vectors.events))
    os.kill(engine.worker_pid or 0, signal.SIGKILL)
    assert vectors.embedded.vectors == [vector_of("some text " * 20)] * 20


def test_a_request_for_vectors_is_cancelled(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW)
    vectors = Vectors(engine, *("some text " * 40 for _ in range(200)))
    until(lambda: bool(vectors.events))
    engine.cancel(vectors.id)
    end = vectors.end()
    assert isinstance(end, Finished) and end.reason == "cancelled"
    assert Vectors(engine, "after").embedded.vectors == [vector_of("after")]
    assert (engine.counters.running, engine.counters.waiting) == (0, 0)


def test_what_generates_goes_on_beside_a_large_request(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW)
    writing = CollectedReply(engine, "writing", ENDLESS)
    assert writing.begun.wait(180)
    large = Vectors(engine, *("some text " * 20 for _ in range(100)))
    reply = CollectedReply(engine, "hello", SamplingParams(max_tokens=10)).wait()
    assert reply.text == reply_to("hello", 10)
    assert not any(isinstance(event, Terminal) for event in large.events)
    before = len(writing.events)
    assert len(large.embedded.vectors) == 100
    assert len(writing.events) > before
    engine.cancel(writing.id)
