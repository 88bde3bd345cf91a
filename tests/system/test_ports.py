"""The owner of the program that listens on a port."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.system.ports import listener_may_be_trusted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone says whose it is")

HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n"
)
OTHER = os.getuid() + 1 if os.getuid() >= 1000 else 1000


def planted(root: Path, *rows: tuple[str, int, str, int]) -> Path:
    """`/proc/net` with rows of table, port, state and user."""
    folder = root / "proc" / "net"
    folder.mkdir(parents=True)
    for table in ("tcp", "tcp6"):
        lines = [
            f"   0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000"
            f" 00000000 {user:5}        0 12345 1 0000000000000000 100 0 0 10 0\n"
            for where, port, state, user in rows
            if where == table
        ]
        (folder / table).write_text(HEAD + "".join(lines))
    return root


@pytest.mark.parametrize(
    ("rows", "trusted"),
    [
        ([], True),
        ([("tcp", 3000, "0A", os.getuid())], True),
        ([("tcp", 3000, "0A", 0)], True),
        ([("tcp", 3000, "0A", 998)], True),  # a package's account
        ([("tcp", 3000, "0A", 61_184)], True),  # systemd's DynamicUser=
        ([("tcp", 3000, "0A", OTHER)], False),
        ([("tcp6", 3000, "0A", OTHER)], False),
        ([("tcp", 3000, "0A", 65_534)], False),
        ([("tcp", 3000, "0A", 0), ("tcp6", 3000, "0A", OTHER)], False),
        ([("tcp", 3001, "0A", OTHER)], True),
        ([("tcp", 3000, "01", OTHER)], True),  # a connection
    ],
)
def test_people_are_distinguished_from_the_system(
    rows: list[tuple[str, int, str, int]], trusted: bool, tmp_path: Path
) -> None:
    assert listener_may_be_trusted(3000, planted(tmp_path, *rows)) is trusted


def test_a_system_that_says_nothing(tmp_path: Path) -> None:
    assert listener_may_be_trusted(3000, tmp_path)


LISTEN = """
import socket, sys
one = socket.create_server(("127.0.0.1", 0))
print(one.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        assert listener_may_be_trusted(own.getsockname()[1])
    if os.geteuid() == 0:  # a user who may run programs as others
        with subprocess.Popen(
            ["/usr/bin/python3", "-c", LISTEN],
            user=OTHER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout
            assert not listener_may_be_trusted(int(process.stdout.readline()))
            process.communicate()
