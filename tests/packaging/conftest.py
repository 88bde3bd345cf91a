"""A minimal machine for each test that installs something."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.bare_machine import Machine, make_base

UNIT = """
[Service]
Environment=APPLIANCE_SERVER_PORT={port} APPLIANCE_ENGINE_TUNE=false
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A booted machine; removed after the test."""
    make_base()
    one = Machine(tmp_path)
    try:
        one.boot()
        yield one
    finally:
        one.end()


@pytest.fixture
def url(machine: Machine) -> str:
    """The address of the machine's service: it shares this machine's network."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    extra = machine.root / "etc/systemd/system/appliance.service.d/port.conf"
    extra.parent.mkdir(parents=True)
    extra.write_text(UNIT.format(port=port), encoding="utf-8")
    return f"http://127.0.0.1:{port}"
