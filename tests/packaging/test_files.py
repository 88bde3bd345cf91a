"""The packages' files, checked by systemd, AppStream and other standard validators."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import packages
from appliance.cli.main import appliance as command_line

ROOT = Path(__file__).resolve().parents[2]
LINUX = ROOT / "packaging" / "linux"
UNIT = ROOT / "systemd" / "appliance.service"


def judged(program: str, package: str, *arguments: str) -> str:
    """A checker's output for valid files; without the checker the test is skipped."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is missing: install the Debian package `{package}`")
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_desktop_entry() -> None:
    entry = str(LINUX / f"{packages.APP_ID}.desktop")
    assert judged("desktop-file-validate", "desktop-file-utils", entry) == ""


def test_the_description_for_shops() -> None:
    file = LINUX / f"{packages.APP_ID}.metainfo.xml"
    judged("appstreamcli", "appstream", "validate", "--no-net", str(file))


def test_the_service_is_locked_in() -> None:
    output = judged(
        *("systemd-analyze", "systemd", "security", "--offline=true", "--threshold=20", str(UNIT))
    )
    found = re.search(r"exposure level for appliance.service: ([\d.]+)", output)
    assert found and float(found[1]) <= 2.0


def test_the_service_is_understood(tmp_path: Path) -> None:
    # Neither the program nor its manual need be installed where this runs.
    text = UNIT.read_text(encoding="utf-8").replace("/usr/bin/appliance", "/bin/true")
    text = re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE)
    (tmp_path / "appliance.service").write_text(text, encoding="utf-8")
    output = judged("systemd-analyze", "systemd", "verify", str(tmp_path / "appliance.service"))
    newer = re.compile(r"Unknown key '(RestartSteps|RestartMaxDelaySec)' in section")
    unknown = [line for line in output.splitlines() if not newer.search(line)]
    assert "appliance.service" not in "\n".join(unknown)


def test_the_service_is_started_again_for_ever() -> None:
    text = UNIT.read_text(encoding="utf-8")
    values = dict(re.findall(r"(?m)^(\w+)=(.*)$", text))
    assert values["Restart"] == "on-failure" and "StartLimitBurst" not in values
    assert values["StartLimitIntervalSec"] == "0", "systemd would give up"
    assert int(values["RestartMaxDelaySec"]) <= 300


def test_graphics_processors_are_let_in_and_home_is_not() -> None:
    text = UNIT.read_text(encoding="utf-8")
    for devices in ("char-drm", "char-nvidia*", "char-kfd"):
        assert f"DeviceAllow={devices} rw\n" in text
    wanted = re.findall(r"(?m)^SupplementaryGroups=(.*)$", text)
    made = re.findall(r"(?m)^g (\S+) -", (LINUX / "sysusers.conf").read_text(encoding="utf-8"))
    assert wanted == [" ".join(made)] == ["render video"]
    assert "PrivateDevices=yes" not in text
    assert "ProtectHome=tmpfs" in text
    assert "LoadCredentialEncrypted=appliance.master\n" in text


def test_the_installer_for_windows_compiles(tmp_path: Path) -> None:
    (tmp_path / "frozen").mkdir()
    (tmp_path / "frozen" / "appliance.exe").write_bytes(b"MZ")
    made = tmp_path / "appliance-windows.exe"
    script = ROOT / "packaging" / "windows" / "appliance.nsi"
    judged(
        *("makensis", "nsis", "-WX", "-V2", f"-DFROZEN={tmp_path / 'frozen'}", f"-DOUT={made}"),
        str(script),
    )
    assert made.read_bytes()[:2] == b"MZ"


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm", "install.sh"])
def test_scripts_are_plain_shell(script: str) -> None:
    judged("dash", "dash", "-n", str(LINUX / script))


def test_the_script_for_macos_is_plain_shell() -> None:
    judged("dash", "dash", "-n", str(ROOT / "packaging/macos/bundle.sh"))


def test_the_manual_explains_every_command() -> None:
    manual = (LINUX / "appliance.1").read_text(encoding="utf-8")
    explained = re.findall(r"(?m)^\.TP\n\.BR? (\w+)", manual)
    assert set(explained) == set(command_line.commands)


def test_a_deb_is_compressed_and_stays_what_it_was(tmp_path: Path) -> None:
    control = tmp_path / "tree" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        "Package: one\nVersion: 1\nArchitecture: all\nMaintainer: one <one@one.invalid>\n"
        "Description: one\n"
    )
    (tmp_path / "tree" / "file").write_text("text\n" * 10_001)
    made = tmp_path / "one.deb"
    judged("dpkg-deb", "dpkg", "-Znone", "--build", str(tmp_path / "tree"), str(made))
    before = judged("dpkg-deb", "dpkg", "--contents", str(made))
    packages.compress(made)
    assert b"data.tar.xz" in made.read_bytes() and made.stat().st_size < 20_000
    assert judged("dpkg-deb", "dpkg", "--contents", str(made)) == before
    judged("dpkg-deb", "dpkg", "--extract", str(made), str(tmp_path / "out"))
    assert (tmp_path / "out" / "file").read_text() == "text\n" * 10_001


def test_the_oldest_c_library_is_computed(tmp_path: Path) -> None:
    shutil.copy("/bin/true", tmp_path)
    floor = packages.glibc_floor(tmp_path)
    assert re.fullmatch(r"2\.\d+", floor)
    (tmp_path / "true").unlink()
    (tmp_path / "text").write_text("no program")
    with pytest.raises(SystemExit):
        packages.glibc_floor(tmp_path)


def test_what_a_program_loads_from_the_system_is_computed(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    shutil.copy("/bin/ls", tmp_path)
    outside = packages.libraries_outside(tmp_path)
    assert outside and not any(one.startswith("libc.") for one in outside)
    # The launcher must not find other modules beside it.
    for one in outside:
        (tmp_path / "inside" / one).write_text("no library")
    assert packages.libraries_outside(tmp_path) == outside
    (tmp_path / "ls").rename(tmp_path / "ls.so")
    assert packages.libraries_outside(tmp_path) == set()
