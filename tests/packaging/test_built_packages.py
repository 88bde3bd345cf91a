"""The built packages, checked by the distributions' own checkers.

`make packages` makes them and `make packages-test` runs this.
"""

import re
import subprocess

import pytest

from tests.packaging.built_packages import DIST, newest
from tests.packaging.test_files import judged

pytestmark = pytest.mark.packages

KINDS = ["appliance", "appliance-server"]
GTK = {"appliance": True, "appliance-server": False}


@pytest.mark.parametrize("kind", KINDS)
def test_lintian_has_nothing_against_a_deb(kind: str) -> None:
    package = str(newest(f"{kind}_*.deb"))
    output = judged("lintian", "lintian", "--allow-root", "--fail-on=error", package)
    assert not re.search("^E:", output, re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_deb_depends_on_what_it_needs(kind: str) -> None:
    package = str(newest(f"{kind}_*.deb"))
    needed = judged("dpkg-deb", "dpkg", "--field", package, "Depends")
    assert re.search(r"libc6 \(>= 2\.\d+\)", needed)
    assert ("gir1.2-webkit2-4.1" in needed) is GTK[kind]
    # A machine without a GPU does not need the Vulkan loader.
    assert "vulkan" not in needed
    assert "libvulkan1" in judged("dpkg-deb", "dpkg", "--field", package, "Recommends")
    members = judged("ar", "binutils", "t", package).split()
    assert {"control.tar.gz", "data.tar.xz"} < set(members)


@pytest.mark.parametrize("kind", KINDS)
def test_an_rpm_is_whole_and_says_what_it_is(kind: str) -> None:
    package = str(newest(f"{kind}-[0-9]*.rpm"))
    assert "digests OK" in judged("rpm", "rpm", "--checksig", "--nosignature", package)
    output = judged("rpm", "rpm", "-qp", "--info", package)
    assert re.search(rf"^Name +: {kind}$", output, re.MULTILINE)
    needed = judged("rpm", "rpm", "-qp", "--requires", package)
    assert re.search(r"^glibc >= 2\.\d+$", needed, re.MULTILINE)
    assert ("webkit2gtk4.1" in needed) is GTK[kind]
    files = judged("rpm", "rpm", "-qp", "--list", package).split()
    assert {"/usr/bin/appliance", "/usr/lib/appliance/appliance"} < set(files)
    assert ("/usr/lib/systemd/system/appliance.service" in files) is not GTK[kind]
    kept = judged("rpm", "rpm", "-qp", "--configfiles", package).split()
    assert kept == ["/etc/appliance/config.toml"]


def test_sums_are_those_of_the_packages() -> None:
    sums = newest("SHA256SUMS")
    subprocess.run(["sha256sum", "--check", "--quiet", sums], cwd=DIST, check=True, timeout=120)
    listed = {line.split()[1] for line in sums.read_text(encoding="utf-8").splitlines()}
    for kind in KINDS:
        for pattern in (f"{kind}_*.deb", f"{kind}-[0-9]*.rpm", f"{kind}-[0-9]*.tar.gz"):
            assert newest(pattern).name in listed
