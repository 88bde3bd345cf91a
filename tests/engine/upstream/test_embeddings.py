"""Embeddings of a model on an upstream server."""

import struct

import pytest

from appliance.engine.protocol import Finished
from appliance.engine.upstream.engine import UpstreamEngine
from tests.engine.upstream.fake_upstream import Exchange, HostileUpstream, eventually
from tests.worker.scheduler.test_embedding import Vectors


def vectors(exchange: Exchange) -> None:
    """A valid response, out of order."""
    data = [
        {"object": "embedding", "index": index, "embedding": [float(index), 0.5]}
        for index in range(len(exchange.body["input"]))
    ]
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    exchange.refuse(200, {"object": "list", "data": data[::-1], "usage": usage})


def test_inputs_go_as_they_are_and_vectors_come_in_their_order(
    upstream: HostileUpstream, far: UpstreamEngine
) -> None:
    upstream.answer = vectors
    end = Vectors(far, "one", [1, 2], "three", dimensions=2).embedded
    assert end.vectors == [struct.pack("<2f", index, 0.5) for index in range(3)]
    assert end.prompt_tokens == 9
    (body,) = upstream.bodies
    assert body == {
        "model": "m",
        "input": ["one", [1, 2], "three"],
        "encoding_format": "float",
        "dimensions": 2,
    }
    assert far.counters.prefilled_tokens == 9


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, {"error": {"message": "input is too odd"}}, "invalid_request"),
        (404, {}, "model_load_failed"),
        (501, {"error": {"message": "This server does not support embeddings"}}, "unavailable"),
        (200, {"data": "nothing"}, "unavailable"),
        (200, {"data": [{"index": 7, "embedding": [1.0]}]}, "unavailable"),
    ],
)
def test_a_refusal_is_reported(
    upstream: HostileUpstream, far: UpstreamEngine, status: int, body: object, code: str
) -> None:
    upstream.answer = lambda exchange: exchange.refuse(status, body)
    assert Vectors(far, "one").failed.code == code


def test_a_closed_stream_disconnects_from_the_upstream(
    upstream: HostileUpstream, far: UpstreamEngine
) -> None:
    hung_up: list[bool] = []
    upstream.answer = lambda exchange: hung_up.append(exchange.wait_hung_up())
    waiting = Vectors(far, "one")
    assert eventually(lambda: upstream.asked)
    far.cancel(waiting.id)
    end = waiting.end()
    assert isinstance(end, Finished) and end.reason == "cancelled"
    assert eventually(lambda: hung_up == [True])
