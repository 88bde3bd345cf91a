"""Engines for a server that misbehaves as a test wants."""

from collections.abc import Iterator

import pytest

from appliance.engine.upstream.engine import UpstreamEngine
from tests.engine.upstream.fake_upstream import HostileUpstream, MakeUpstream, upstream_engine


@pytest.fixture
def upstream() -> Iterator[HostileUpstream]:
    made = HostileUpstream()
    yield made
    made.close()


@pytest.fixture
def make(upstream: HostileUpstream) -> Iterator[MakeUpstream]:
    """Starts engines for `upstream`, or for another address."""
    made: list[UpstreamEngine] = []

    def start(url: str = "", **changes: object) -> UpstreamEngine:
        engine = upstream_engine(url or upstream.url, **changes)
        made.append(engine)
        engine.start()
        return engine

    yield start
    for engine in made:
        engine.close()


@pytest.fixture
def far(make: MakeUpstream) -> UpstreamEngine:
    engine = make()
    assert engine.wait_ready(30), engine.state
    return engine
