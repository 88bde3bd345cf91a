"""HTTP for tests that look at bodies."""

from collections.abc import Iterator

import httpx
import pytest

from tests.running import Running

SECONDS = 120


@pytest.fixture(scope="package")
def real(running: Running) -> Iterator[httpx.Client]:
    """Of the appliance with the embedded model."""
    with httpx.Client(base_url=running.url, timeout=SECONDS) as client:
        yield client


@pytest.fixture(scope="package")
def fake(scripted: Running) -> Iterator[httpx.Client]:
    """Of the appliance with the scripted model."""
    with httpx.Client(base_url=scripted.url, timeout=SECONDS) as client:
        yield client
