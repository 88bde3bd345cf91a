"""The add-on for NVIDIA GPUs: its sources, and that it fits one llama.cpp version only."""

import base64
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from appliance.system import llama_libraries
from native import cuda, prebuilt
from tests.packaging.built_packages import newest
from tests.packaging.test_files import judged

BASE = b"the ggml-base of both"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of libraries of the pinned version."""
    folder = tmp_path / "llama_cpp" / "lib"
    folder.mkdir(parents=True)
    (folder / cuda.BASE).write_bytes(BASE)
    pin = prebuilt.pins()["linux-x64-cuda"]
    origin = f'{{"package": "x", "version": "{pin.version}", "integrity": "", "bytes": 1}}'
    (folder / prebuilt.ORIGIN).write_text(origin)
    monkeypatch.setattr(cuda, "FOLDER", folder)
    monkeypatch.setattr(cuda, "TARGET", folder.with_name("cuda"))
    monkeypatch.setattr(prebuilt, "this_system", lambda: "linux-x64")
    monkeypatch.setenv(llama_libraries.FOLDER_VARIABLE, str(folder))
    return folder


def npm(folder: Path, base: bytes) -> list[str]:
    """A stand-in for npm that delivers an archive."""
    packed = folder / "given.tgz"
    with tarfile.open(packed, "w:gz") as archive:
        for name, content in (
            ("package/LICENSE", b"MIT"),
            (f"package/bins/linux-x64-cuda/{cuda.BASE}", base),
            (f"package/bins/linux-x64-cuda/{cuda.BACKEND}", b"a backend"),
            ("package/bins/linux-x64-cuda/llama-addon.node", b"not wanted"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    code = f"import shutil; print(shutil.copy({str(packed)!r}, 'got.tgz'))"
    return [sys.executable, "-c", code]


def pip(folder: Path, names: tuple[str, ...]) -> list[str]:
    """A stand-in for pip that delivers a wheel with libraries."""
    wheel = folder / "nvidia_all-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in names:
            archive.writestr(f"nvidia/cu13/lib/{name}", name)
        archive.writestr("nvidia_all-1.dist-info/licenses/License.txt", "NVIDIA's")
        archive.writestr("nvidia/cu13/lib/libnvblas.so.13", "not wanted")
    code = (
        f"import shutil, sys; shutil.copy({str(wheel)!r}, sys.argv[sys.argv.index('--dest') + 1])"
    )
    return [sys.executable, "-c", code]


def offer(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    base: bytes = BASE,
    nvidias: tuple[str, ...] = cuda.NVIDIA,
) -> None:
    """Install both stand-ins."""
    program = npm(folder, base)
    monkeypatch.setattr(prebuilt, "npm_command", lambda: program)
    monkeypatch.setattr(cuda, "PIP", pip(folder, nvidias))
    digest = base64.b64encode(hashlib.sha512((folder / "given.tgz").read_bytes()).digest())
    real = prebuilt.pins()["linux-x64-cuda"]
    pin = prebuilt.Pin(real.package, real.version, f"sha512-{digest.decode()}", 1)
    monkeypatch.setattr(prebuilt, "pins", lambda: {"linux-x64-cuda": pin})


def test_it_is_fetched_and_found(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, monkeypatch)
    cuda.main()
    there = {file.name for file in cuda.TARGET.iterdir()}
    licences = {prebuilt.LICENCE, cuda.NVIDIA_LICENCE}
    assert there == {cuda.BACKEND, cuda.FITS, *cuda.NVIDIA, *licences}
    assert llama_libraries.addons() == [cuda.TARGET]
    assert llama_libraries.backends() == {"cuda": cuda.TARGET / cuda.BACKEND}
    assert sorted(installed.parent.iterdir()) == [cuda.TARGET, installed]
    # With another llama.cpp version, the add-on is ignored.
    (installed / cuda.BASE).write_bytes(b"another")
    assert llama_libraries.addons() == [] and llama_libraries.backends() == {}


def test_one_for_another_llama_cpp_is_refused(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, monkeypatch, base=b"another")
    with pytest.raises(SystemExit, match="built for another"):
        cuda.main()
    assert list(installed.parent.iterdir()) == [installed]


def test_it_is_whole_or_not_there(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, monkeypatch, nvidias=cuda.NVIDIA[1:])
    with pytest.raises(SystemExit, match=re.escape(f"lack {cuda.NVIDIA[0]}")):
        cuda.main()
    assert list(installed.parent.iterdir()) == [installed]


def test_beside_a_llama_cpp_that_was_compiled_here_it_is_refused(installed: Path) -> None:
    (installed / prebuilt.ORIGIN).unlink()
    with pytest.raises(SystemExit, match="another one is installed"):
        cuda.check()


def test_on_other_systems_it_is_refused(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prebuilt, "this_system", lambda: "darwin-arm64")
    with pytest.raises(SystemExit, match="is for linux-x64"):
        cuda.check()


def test_a_frozen_program_finds_the_package_beside_it(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addon = tmp_path / "lib" / "appliance-cuda"
    addon.mkdir(parents=True)
    (addon / llama_libraries.FITS).write_text(hashlib.sha256(BASE).hexdigest())
    monkeypatch.setattr(sys, "executable", str(tmp_path / "lib" / "appliance" / "appliance"))
    assert llama_libraries.addons() == []
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert llama_libraries.addons() == [addon]


# -- as a package; `make cuda-packages` makes it ---------------------------------------------------


@pytest.mark.packages
def test_the_deb_has_what_a_driver_lacks_and_goes_with_one_version() -> None:
    package = str(newest("appliance-cuda_*.deb"))
    version = judged("dpkg-deb", "dpkg", "--field", package, "Version").strip()
    needed = judged("dpkg-deb", "dpkg", "--field", package, "Depends")
    assert f"appliance-server (= {version}) | appliance (= {version})" in needed
    assert "libcuda" not in needed and re.search(r"libc6 \(>= 2\.\d+\)", needed)
    listed = judged("dpkg-deb", "dpkg", "--contents", package)
    for name in (cuda.BACKEND, *cuda.NVIDIA, cuda.NVIDIA_LICENCE, cuda.FITS):
        assert f"./usr/lib/appliance-cuda/{name}\n" in listed
    judged("lintian", "lintian", "--allow-root", "--fail-on=error", package)


@pytest.mark.packages
def test_the_rpm_says_the_same() -> None:
    package = str(newest("appliance-cuda-[0-9]*.rpm"))
    assert "digests OK" in judged("rpm", "rpm", "--checksig", "--nosignature", package)
    needed = judged("rpm", "rpm", "-qp", "--requires", package)
    assert re.search(r"^\(appliance-server = \S+ or appliance = \S+\)$", needed, re.MULTILINE)


@pytest.mark.packages
def test_without_a_driver_the_program_sees_it_and_goes_on(tmp_path: Path) -> None:
    frozen = newest("appliance-server")
    package = newest("appliance-cuda_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path], check=True)
    program = tmp_path / "usr" / "lib" / "appliance"
    # Links are resolved, so the program is copied, but not its contents.
    program.mkdir()
    (program / "appliance").write_bytes((frozen / "appliance").read_bytes())
    (program / "appliance").chmod(0o755)
    (program / "_internal").symlink_to(frozen / "_internal")
    output = subprocess.run(
        [program / "appliance", "doctor", "--json"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert re.search(r'"cuda": "libcuda\.so\.1', output)
