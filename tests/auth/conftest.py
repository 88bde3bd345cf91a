"""A new vault and its keys for every test."""

from pathlib import Path

import pytest

from appliance.auth.keys.registry import Keys
from appliance.auth.vault.file_vaults import FileVault

PLAIN = "sk-of-the-old-service-0123456789"
"""A key that was not made here."""


class Clock:
    """A clock in Unix milliseconds that tests advance."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(tmp_path: Path) -> FileVault:
    return FileVault(tmp_path / "vault.json")


@pytest.fixture
def keys(vault: FileVault, clock: Clock) -> Keys:
    return Keys(vault, clock=clock)
