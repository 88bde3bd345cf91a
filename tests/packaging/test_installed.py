"""The .deb on a machine that has nothing else: installed, used, upgraded, removed, purged.

`make packages` makes it and `make packages-test` runs this.
"""

import re
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.packaging.asking import ask
from tests.packaging.bare_machine import Machine, make_base
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
UNIT = """
[Service]
Environment=APPLIANCE_SERVER_PORT={port} APPLIANCE_ENGINE_TUNE=false
"""

pytestmark = pytest.mark.packages


@pytest.fixture(scope="module")
def package() -> Path:
    """The newest that was made."""
    found = sorted(
        (ROOT / "dist").glob("appliance-server_*.deb"), key=lambda file: file.stat().st_mtime
    )
    if not found:
        pytest.skip("there is no package: `make packages` makes it")
    return found[-1]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Booted; away when the test is over."""
    make_base()
    one = Machine(tmp_path)
    one.boot()
    yield one
    one.end()
    subprocess.run(["rm", "-rf", one.root], check=False)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def next_version(package: Path, folder: Path) -> Path:
    """The same files as a version that comes later."""
    tree = folder / "next"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    text = control.read_text(encoding="utf-8")
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 99.0.0-1", text), encoding="utf-8")
    made = folder / "next.deb"
    subprocess.run(
        ["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, made],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    subprocess.run(["rm", "-rf", tree], check=True)
    return made


def install(machine: Machine, package: Path) -> None:
    subprocess.run(["cp", package, machine.root / "root/new.deb"], check=True)
    machine.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", "/root/new.deb")


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readiness", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


MAKE_KEY = [
    *(
        "systemd-run",
        "--quiet",
        "--pipe",
        "--wait",
        "-p",
        "DynamicUser=yes",
        "-p",
        "User=appliance",
    ),
    *("-p", "StateDirectory=appliance", "-p", "LoadCredentialEncrypted=appliance.master"),
    *("-E", "APPLIANCE_DATA_DIR=/var/lib/appliance", "-E", "APPLIANCE_SECURITY_VAULT=encrypted"),
    *("-E", "XDG_CONFIG_HOME=/etc", "-E", "HOME=/var/lib/appliance"),
    *("appliance", "keys", "create", "by-root"),
]
"""As the manual says."""


def test_a_package_lives_its_life(machine: Machine, package: Path, tmp_path: Path) -> None:
    for absent in ("python3", "cc", "gcc"):
        assert machine.try_run("sh", "-c", f"command -v {absent}").returncode != 0
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    extra = machine.root / "etc/systemd/system/appliance.service.d/port.conf"
    extra.parent.mkdir(parents=True)
    extra.write_text(UNIT.format(port=port), encoding="utf-8")

    # Installing starts it, locked in as the unit says.
    install(machine, package)
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}", 120)
    assert machine.run("systemctl", "is-active", "appliance").strip() == "active"
    assert machine.run("systemctl", "is-enabled", "appliance").strip() == "enabled"
    machine.run(
        "systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/appliance.service"
    )
    ask(url)
    session = httpx.post(f"{url}/api/sessions", json={}).json()["id"]
    turn = httpx.post(
        f"{url}/api/sessions/{session}/turns", json={"content": "Hello!"}, timeout=120
    )
    assert turn.status_code == 200

    # Keys lie in a file that only this machine's service opens.
    made = httpx.post(f"{url}/api/keys", json={"name": "office"})
    assert made.status_code == 201, made.text + machine.journal()
    data = machine.root / "var/lib/private/appliance"
    vault = data / "keys.vault"
    assert vault.read_bytes().startswith(b"appliance vault 1\n")
    assert stat.S_IMODE(vault.stat().st_mode) == 0o600
    assert (machine.root / "etc/credstore.encrypted/appliance.master").exists()
    assert machine.run(*MAKE_KEY).strip()
    wait_until(lambda: "by-root" in httpx.get(f"{url}/api/keys").text, "nobody hears of the key")

    # A worker that dies is replaced.
    (worker,) = machine.processes("worker")
    worker.kill()
    wait_until(lambda: not worker.is_running() or worker.status() == "zombie", "it lives")
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}")
    ask(url)

    # Another version: chats and keys are what they were.
    install(machine, next_version(package, tmp_path))
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}", 120)
    assert "99.0.0-1" in machine.run("dpkg-query", "--show", "appliance-server")
    kept = httpx.get(f"{url}/api/sessions/{session}/messages").json()["messages"]
    assert [one["role"] for one in kept] == ["user", "assistant"]
    assert kept[1]["status"] == "complete" and kept[1]["content"]
    assert "office" in httpx.get(f"{url}/api/keys").text
    ask(url)

    # Removed, what people wrote stays; purged, nothing does.
    machine.run("dpkg", "--remove", "appliance-server")
    assert not ready(url)
    assert (data / "appliance.db").exists() and vault.exists()
    assert (machine.root / "etc/appliance/config.toml").exists()
    assert not (machine.root / "usr/lib/appliance").exists()
    machine.run("dpkg", "--purge", "appliance-server")
    left = machine.run("sh", "-c", "find / -xdev -name '*appliance*' -not -path '/proc/*'").split()
    ours = [one for one in left if "appliance.service.d" not in one]
    assert ours == []
