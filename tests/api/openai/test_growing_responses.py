"""A response that grows is written by what is new of it, however long it is already."""

import time
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest

from appliance.api.dialects.responses import recorders as module
from appliance.api.dialects.responses.recorder import LOG, Plan, Recorder
from appliance.api.dialects.responses.recorders import Recorders
from appliance.api.dialects.responses.responses import _head
from appliance.api.dialects.responses.schemas import ResponsesRequest
from appliance.engine.protocol import Accepted, Delta, EventSink
from appliance.engine.types import GenerationRequest, SamplingParams, TextPrompt
from appliance.store.callers.responses import LogPiece, ResponseBook
from appliance.store.database import Database
from appliance.store.migrations import migrate

STEPS, DELTAS = 20, 40
SECONDS = 60


def recorder_of(id: str) -> Recorder:
    head = msgspec.structs.replace(_head(ResponsesRequest(input=id, background=True), "m"), id=id)
    request = GenerationRequest(prompt=TextPrompt(""), sampling=SamplingParams())
    return Recorder("me", [], head, Plan(model="m", request=request))


def written(recorder: Recorder) -> None:
    """Wait until all of it is stored."""
    deadline = time.monotonic() + SECONDS
    while recorder.shown < len(recorder.log):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def steps(recorder: Recorder, sink: EventSink, fingerprint: str, count: int) -> None:
    sink(Accepted(0, 5, 1, fingerprint=fingerprint))
    for step in range(count):
        for number in range(DELTAS):
            sink(Delta(0, f"word {number} ", step * DELTAS + number + 1, new_tokens=[number]))
        written(recorder)


def test_what_is_written_is_as_much_as_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STORE_SECONDS", 0.01)
    database = Database(tmp_path / "chats.db")
    migrate(database)
    book = ResponseBook(database)
    sizes: list[int] = []

    class Counting(ResponseBook):
        def grow(self, grown: Mapping[str, LogPiece]) -> None:
            sizes.extend(len(piece.log) for piece in grown.values())
            super().grow(grown)

    recorders = Recorders(Counting(database), Mock())
    long, anew = recorder_of("resp_long"), recorder_of("resp_anew")
    for recorder in (long, anew):
        sink = recorders.follow(recorder)(lambda _: None)
        sink(Accepted(0, 5, 1, fingerprint="one"))
        recorders.begin(recorder)
        steps(recorder, sink, "one", STEPS if recorder is long else 2)
    assert sum(sizes) < 2 * len(msgspec.msgpack.encode([*long.log, *anew.log]))
    # Another worker can't go on with this one.
    anew.begin_anew()
    steps(anew, recorders.follow(anew)(lambda _: None), "two", 3)
    found = {owned.stored.id: owned.stored for owned in book.under_way()}
    for recorder in (long, anew):
        stored = found[recorder.id]
        pieces = map(LOG.decode, filter(None, (stored.log, *stored.log_pieces)))
        assert list(chain.from_iterable(pieces)) == recorder.log
    assert len(anew.log) == 3 * DELTAS + 1
    recorders.close()
    database.close()
