"""The .tar.gz on a Linux without a package for it: installed by its script, used, removed.

`make packages` makes it and `make packages-test` runs this.
"""

import httpx
import pytest

from tests.packaging.bare_machine import Machine
from tests.packaging.built_packages import newest
from tests.packaging.openai_requests import ask, chat, kept, ready
from tests.waiting import wait_until

pytestmark = pytest.mark.packages


def test_the_service_out_of_an_archive(machine: Machine, url: str) -> None:
    machine.run("tar", "-C", "/root", "-xzf", machine.take(newest("appliance-server-*.tar.gz")))
    script = machine.run("sh", "-c", "echo /root/appliance-server-*/install.sh").strip()
    before = machine.ours()

    assert "systemctl enable --now appliance" in machine.run(script)
    # Its unit is valid where it is installed, and finds the program there.
    machine.run(
        *("systemd-analyze", "verify", "--man=no"),
        "/usr/local/lib/systemd/system/appliance.service",
    )
    machine.run("systemctl", "enable", "--now", "appliance")
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}", 120)
    ask(url)
    session = chat(url)
    assert machine.run("appliance", "--version").startswith("appliance ")

    # Installed again while it runs, it keeps running, and starts at boot as before.
    machine.run(script)
    wait_until(lambda: ready(url), f"not ready: {machine.journal()}", 120)
    assert machine.run("systemctl", "is-enabled", "appliance").strip() == "enabled"
    assert kept(url, session)

    # After removal, chats and settings remain, and the script's files are gone.
    machine.run(script, "--remove")
    with pytest.raises(httpx.TransportError):
        httpx.get(url)
    assert (machine.root / "var/lib/private/appliance/appliance.db").exists()
    new = machine.ours() - before
    places = (
        "/var/lib/",
        "/var/cache/",
        "/etc/appliance",
        "/etc/systemd/system/appliance.service.d",
    )
    assert {one for one in new if not one.startswith(places)} == set()
