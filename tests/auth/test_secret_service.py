"""Keys in a real Secret Service, and the errors without one."""

from pathlib import Path

import pytest

from tests.auth.secret_service import run_with_keyring, run_without_bus

OPEN = """
import sys, time
from pathlib import Path
from appliance.errors import VaultUnavailable
from appliance.auth.keys.registry import Keys
from appliance.auth.vault.vault import open_vault

vault = open_vault("keyring", file=Path(sys.argv[1]) / "vault", timeout=4)
keys = Keys(vault)

def trouble(call):
    began = time.monotonic()
    try:
        call()
    except VaultUnavailable as error:
        assert time.monotonic() - began < 5
        return str(error)
    return "worked"
"""

ROUND_TRIP = (
    OPEN
    + """
assert vault.get("nothing") is None
values = {f"entry-{n}": bytes(range(256)) * (n + 1) for n in range(10)}
for name, value in values.items():
    vault.set(name, value)
assert {name: vault.get(name) for name in vault.names()} == values
vault.delete("entry-3")
vault.delete("entry-3")
assert vault.get("entry-3") is None and len(vault.names()) == 9

made = keys.create("office", "manage", rpm=60)
again = Keys(open_vault("keyring", file=Path(sys.argv[1]) / "vault"))
assert again.check(made.secret).may("manage")
for folder in Path(sys.argv[1]).rglob("*"):
    assert not folder.is_file() or made.secret.encode() not in folder.read_bytes()
print(made.secret)
"""
)

BY_ANOTHER_PROCESS = (
    OPEN
    + """
made = [keys.create(f"key {n}") for n in range(2)]
ended = []
keys.on_revoke(ended.append)
keys.start()
code = f'''
import sys
from pathlib import Path
from appliance.auth.keys.registry import Keys
from appliance.auth.vault.vault import open_vault
keys = Keys(open_vault("keyring", file=Path(sys.argv[1]) / "vault"))
keys.revoke({made[0].key.id!r})
print(keys.create("new").secret)
'''
secret = subprocess.run(
    [sys.executable, "-c", code, sys.argv[1]], check=True, capture_output=True, text=True,
).stdout.strip()
ends = time.monotonic() + 5
while not ended and time.monotonic() < ends:
    time.sleep(0.05)
assert ended == [made[0].key.id], ended
assert keys.check(made[0].secret) is None
assert keys.check(made[1].secret) == made[1].key
assert keys.check(secret).name == "new"
keys.close()
"""
)

LOCKED = (
    OPEN
    + """
import secretstorage
made = keys.create("office")
keys.start()
with secretstorage.dbus_init() as bus:
    secretstorage.get_default_collection(bus).lock()
assert keys.check(made.secret)
other = Keys(open_vault("keyring", file=Path(sys.argv[1]) / "vault"))
for call in (other.start, lambda: other.check(made.secret), lambda: keys.create("second")):
    print(trouble(call))
keys.close()
"""
)

FROZEN = (
    OPEN
    + """
import signal
made = keys.create("office")
daemon.send_signal(signal.SIGSTOP)
for call in (vault.names, lambda: keys.create("second")):
    print(trouble(call))
daemon.send_signal(signal.SIGCONT)
while trouble(vault.names) != "worked":
    time.sleep(0.1)
assert keys.create("third").key in keys.listed()
"""
)

ABSENT = (
    OPEN
    + """
for call in (keys.start, lambda: keys.check("apl_x"), lambda: keys.create("office")):
    print(trouble(call))
"""
)


def test_values_and_keys_come_back(tmp_path: Path) -> None:
    secret = run_with_keyring(ROUND_TRIP, tmp_path / "home", str(tmp_path)).strip()
    assert secret.startswith("apl_")


def test_another_process_is_noticed(tmp_path: Path) -> None:
    run_with_keyring(BY_ANOTHER_PROCESS, tmp_path / "home", str(tmp_path))


def test_a_locked_keyring_is_refused_with_a_message(tmp_path: Path) -> None:
    lines = run_with_keyring(LOCKED, tmp_path / "home", str(tmp_path)).splitlines()
    assert len(lines) == 3
    assert all("is locked. Unlock it" in line for line in lines)


def test_a_keyring_that_hangs_is_given_up_and_works_again_later(tmp_path: Path) -> None:
    lines = run_with_keyring(FROZEN, tmp_path / "home", str(tmp_path)).splitlines()
    assert len(lines) == 2
    assert all("has not answered for 4 seconds" in line for line in lines)


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="no bus"),
        pytest.param({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus"}, id="stale bus"),
        pytest.param(
            {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}, id="another one by name"
        ),
    ],
)
def test_a_missing_keyring_is_reported_and_nothing_else_is_used_instead(
    variables: dict[str, str], tmp_path: Path
) -> None:
    lines = run_without_bus(ABSENT, tmp_path / "home", str(tmp_path), **variables).splitlines()
    assert len(lines) == 3
    assert all("No keyring answers" in line and "security.vault" in line for line in lines)
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} <= {"vault.lock"}
