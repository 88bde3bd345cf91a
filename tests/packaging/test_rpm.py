"""The .rpm on a system with rpm: installed, used, upgraded, erased.

Debian's rpm stands in for Fedora's. It does not know Debian's packages, so dependencies are not
checked; and the helpers for Debian's own package scripts are removed, so that the .rpm's scripts
do what they do elsewhere. `make packages` makes it and `make packages-test` runs this.
"""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.bare_machine import Machine
from tests.packaging.built_packages import ROOT, newest
from tests.packaging.openai_requests import ask, chat, kept, ready
from tests.waiting import wait_until

RPM = ["rpm", "--force-debian", "--nodeps"]

pytestmark = pytest.mark.packages


def next_version(folder: Path) -> Path:
    """The same files as a later version, from the recipe that `make packages` left."""
    recipe = folder / "next.yaml"
    made = ROOT / "build/packages" / platform.machine() / "appliance-server.yaml"
    text = made.read_text(encoding="utf-8")
    recipe.write_text(re.sub(r"(?m)^version: .*$", "version: 99.0.0", text), encoding="utf-8")
    nfpm = str(Path(sys.executable).with_name("nfpm"))
    subprocess.run(
        [nfpm, "package", "--config", recipe, "--packager", "rpm", "--target", folder],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=300,
    )
    (package,) = folder.glob("*.rpm")
    return package


def test_a_package_is_installed_upgraded_and_removed(
    machine: Machine, url: str, tmp_path: Path
) -> None:
    package = newest("appliance-server-*.rpm")
    machine.get("rpm")
    machine.run("sh", "-c", "rm /usr/bin/deb-systemd-*")

    output = machine.run(*RPM, "--install", machine.take(package))
    assert "fail" not in output.lower()
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}", 120)
    assert machine.run("systemctl", "is-enabled", "appliance").strip() == "enabled"
    assert machine.run("rpm", "--verify", "--nodeps", "appliance-server") == ""
    assert (machine.root / "etc/credstore.encrypted/appliance.master").exists()
    ask(url)
    session = chat(url)
    (machine.root / "etc/appliance/config.toml").write_text("# mine\n")

    before = machine.run("systemctl", "show", "--property=MainPID", "appliance")
    machine.run(*RPM, "--upgrade", machine.take(next_version(tmp_path)))
    assert machine.run("rpm", "-q", "appliance-server").startswith("appliance-server-99.0.0-1")
    after = machine.run("systemctl", "show", "--property=MainPID", "appliance")
    assert before != after, "the old version goes on"
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}", 120)
    assert kept(url, session)
    assert (machine.root / "etc/appliance/config.toml").read_text() == "# mine\n"
    ask(url)

    machine.run(*RPM, "--erase", "appliance-server")
    assert not ready(url)
    assert (machine.root / "var/lib/private/appliance/appliance.db").exists()
    assert [one for one in machine.ours() if one.startswith("/usr/")] == []
