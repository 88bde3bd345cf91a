"""Appliances that several tests share, one for each file."""

from collections.abc import Iterator

import pytest

from tests.api.admin.key_clients import Person
from tests.running import Running, serving


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance that requires a key from everyone."""
    yield from serving(
        tmp_path_factory.mktemp("locked"),
        ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
        APPLIANCE_SECURITY_TRUSTED_PROXIES="127.0.0.1",
        APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS="4000",
    )


@pytest.fixture(scope="module")
def admin(locked: Running) -> Person:
    """A client with an admin key."""
    return Person(locked, locked.make_key("admin", "--scope", "admin"))
