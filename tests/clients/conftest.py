"""The appliance for third-party clients."""

from collections.abc import Iterator

import pytest

from tests.clients.scripted import serving_scripted
from tests.running import Running


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance with a scripted model; leave it as it was."""
    yield from serving_scripted(tmp_path_factory.mktemp("scripted"))
