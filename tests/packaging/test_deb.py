"""The .deb on a minimal machine: installed, used, upgraded, removed, purged.

`make packages` makes it and `make packages-test` runs this.
"""

import re
import shutil
import stat
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest

from tests.packaging.bare_machine import Machine
from tests.packaging.built_packages import newest
from tests.packaging.openai_requests import ask, begin_chat, chat, kept, ready
from tests.waiting import wait_until

pytestmark = pytest.mark.packages


def next_version(package: Path, folder: Path) -> Path:
    """The same files as a later version."""
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
    file = machine.take(package)
    machine.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", file)


HERS = """
[[models.available_models]]
id = "smollm2-135m-instruct"
[[models.available_models]]
id = "hers"
path = "/home/anna/models/hers.gguf"
"""
SHOWN = "[Service]\nBindReadOnlyPaths=/home/anna/models\n"
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
"""A folder of models in a home, as the manual describes."""


def test_a_package_is_installed_upgraded_and_removed(
    machine: Machine, url: str, tmp_path: Path
) -> None:
    package = newest("appliance-server_*.deb")
    for absent in ("python3", "cc", "gcc"):
        assert machine.try_run("sh", "-c", f"command -v {absent}").returncode != 0

    # Installing starts it, locked in as the unit says.
    install(machine, package)
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}", 120)
    assert machine.run("systemctl", "is-active", "appliance").strip() == "active"
    assert machine.run("systemctl", "is-enabled", "appliance").strip() == "enabled"
    machine.run(
        "systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/appliance.service"
    )
    ask(url)
    session = chat(url)

    # Keys are in a file that only this machine's service can open.
    made = httpx.post(f"{url}/api/keys", json={"name": "office"})
    assert made.status_code == 201, made.text + machine.journal()
    data = machine.root / "var/lib/private/appliance"
    vault = data / "keys.vault"
    assert vault.read_bytes().startswith(b"appliance vault 1\n")
    assert stat.S_IMODE(vault.stat().st_mode) == 0o600
    assert (machine.root / "etc/credstore.encrypted/appliance.master").exists()
    assert machine.run(*MAKE_KEY).strip()
    wait_until(lambda: "by-root" in httpx.get(f"{url}/api/keys").text, "the key does not appear")

    # A folder of models in a home is made accessible as the manual describes.
    theirs = machine.root / "home/anna/models"
    theirs.mkdir(parents=True)
    (machine.root / "home/anna").chmod(0o700)
    inside = machine.root / "usr/lib/appliance/_internal/models"
    shutil.copy(next(inside.glob("*.gguf")), theirs / "hers.gguf")
    (machine.root / "etc/appliance/config.toml").write_text(HERS, encoding="utf-8")
    (machine.root / "etc/systemd/system/appliance.service.d/hers.conf").write_text(SHOWN)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "appliance")
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}", 120)
    ask(url, "hers")
    ask(url)
    assert kept(url, session)

    # A worker that dies is replaced.
    workers = machine.processes("worker")
    for worker in workers:
        worker.kill()
    psutil.wait_procs(workers, 30)
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}")
    ask(url)

    # Upgraded: the running reply is completed, chats and keys are kept.
    later = next_version(package, tmp_path)
    busy = begin_chat(url, tokens=150)
    install(machine, later)
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}", 120)
    assert "99.0.0-1" in machine.run("dpkg-query", "--show", "appliance-server")
    assert kept(url, session)
    assert kept(url, busy)
    assert "office" in httpx.get(f"{url}/api/keys").text
    ask(url)

    # After removal chats remain; after a purge, nothing does.
    machine.run("dpkg", "--remove", "appliance-server")
    assert not ready(url)
    assert (data / "appliance.db").exists() and vault.exists()
    assert (machine.root / "etc/appliance/config.toml").exists()
    assert not (machine.root / "usr/lib/appliance").exists()
    machine.run("dpkg", "--purge", "appliance-server")
    assert {one for one in machine.ours() if "appliance.service.d" not in one} == set()
