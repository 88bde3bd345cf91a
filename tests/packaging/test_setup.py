"""The set-up: pinned by hash, no registry addresses, clear messages, visible progress."""

import base64
import errno
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from appliance.system import llama_libraries
from appliance.tuning.variants.verify import prove
from native import compiled, install, prebuilt, trial
from tests.tuning.faulty_variants import best_variant, plant

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def pinned(lock: Path) -> dict[str, str]:
    """Each pinned package's lower-case name and its whole entry, hashes included."""
    text = re.sub(r"^#.*\n", "", lock.read_text("utf-8"), flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    return {entry.partition("==")[0].lower(): entry for entry in entries}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_python_lock_has_hashes_and_no_address(lock: Path) -> None:
    assert "://" not in lock.read_text("utf-8")
    packages = pinned(lock)
    assert packages
    assert [name for name, entry in packages.items() if "--hash=sha256:" not in entry] == []


def test_every_library_that_is_asked_for_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    asked = {"run": project["project"]["dependencies"], **project["dependency-groups"]}
    for lock, requirements in asked.items():
        packages = pinned(ROOT / "requirements" / f"{lock}.txt").keys()
        names = {re.split(r"[<>=~!\[; ]", requirement)[0] for requirement in requirements}
        assert names - packages <= {"llama-cpp-python"}, lock


def test_tests_run_with_the_versions_that_people_get() -> None:
    run, dev = (pinned(ROOT / "requirements" / f"{name}.txt") for name in ("run", "dev"))
    # The systems that need a package may differ; its version and hashes may not.
    system = re.compile(r" ;.*(?= \\$)", re.MULTILINE)
    assert {name: system.sub("", dev[name]) for name in run} == {
        name: system.sub("", entry) for name, entry in run.items()
    }


def test_npm_lock_has_hashes_and_no_address() -> None:
    lock = json.loads((ROOT / "ui" / "package-lock.json").read_text("utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    # Bundled packages are covered by the outer package's hash.
    outer = {name: entry for name, entry in packages.items() if not entry.get("inBundle")}
    assert [name for name, entry in outer.items() if "integrity" not in entry] == []


def test_npm_lock_is_for_every_system() -> None:
    lock = json.loads((ROOT / "ui" / "package-lock.json").read_text("utf-8"))
    packages = lock["packages"]
    locked = {name.rpartition("node_modules/")[2] for name in packages}
    wanted = {name for entry in packages.values() for name in entry.get("optionalDependencies", {})}
    assert wanted - locked == set()


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell script")
def test_missing_tools_are_named_in_plain_sentences(tmp_path: Path) -> None:
    done = shell("check-tools.sh", path=str(tmp_path), LLAMA="source")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [line.split(" is missing")[0] for line in lines] == [
        "Python",
        "A C and C++ compiler",
    ]
    assert all("Debian: " in line for line in lines)


def shell(
    script: str, *arguments: str, path: str = os.defpath, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a script of `packaging/`."""
    return subprocess.run(
        ["/bin/sh", str(ROOT / "packaging" / script), *arguments],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell script")
def test_a_step_says_what_it_does_and_how_long_it_took() -> None:
    done = shell("step.sh", "Baking bread", "sh", "-c", "echo hot; exit 0")
    assert re.fullmatch(r"Baking bread …\nhot\nBaking bread: \d+ s\n", done.stdout)
    assert done.returncode == 0

    done = shell("step.sh", "Baking bread", "sh", "-c", "echo burnt >&2; exit 3")
    assert re.fullmatch(r"burnt\nBaking bread: failed after \d+ s\n", done.stderr)
    assert done.returncode == 3


def programs(folder: Path, **scripts: str) -> str:
    """A folder with these programs, and those that every system has."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.defpath}"


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell script")
def test_node_is_this_systems_where_it_will_do_and_else_the_environments(tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    own = environment / "node"
    own.mkdir(parents=True)
    (own / "npm").write_text("installed before")
    good = programs(tmp_path / "good", node="exit 0", npm="exit 0")
    old = programs(tmp_path / "old", node="exit 1", npm="exit 0")

    assert shell("node.sh", str(environment), path=good).stdout == f"{tmp_path / 'good'}\n"
    assert shell("node.sh", str(environment), path=old).stdout == f"{own}\n"


def test_another_source_of_llama_cpp_is_refused_by_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "native"],
        cwd=ROOT / "packaging",
        env=os.environ | {"LLAMA": "binary"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "LLAMA is 'binary': it must be `prebuilt` or `source`.\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment's libraries, separate from the real ones; no registry is used."""
    folder = tmp_path / "llama_cpp" / "lib"
    folder.mkdir(parents=True)
    (folder / "libllama.so").write_text("old")
    wheel = tmp_path / "some-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llama_cpp/llama_cpp.py", "new = True")
    monkeypatch.setattr(install, "FOLDER", folder)
    monkeypatch.setattr(install, "PIP", [sys.executable, "-c", "pass"])
    monkeypatch.setattr(install, "bindings", lambda scratch: wheel)
    return folder


def new_libraries(folder: Path) -> None:
    (folder / "libllama.so").write_text("new")


def test_what_fits_replaces_what_was_there(installed: Path) -> None:
    left = installed.with_name("new-killed")
    left.mkdir()

    def hold(modules: Path, made: Path) -> None:
        assert (modules / "llama_cpp" / "llama_cpp.py").read_text() == "new = True"
        assert (made / "libllama.so").read_text() == "new"
        assert (installed / "libllama.so").read_text() == "old"

    install.install(new_libraries, hold)

    assert (installed / "libllama.so").read_text() == "new"
    assert [file.name for file in installed.parent.iterdir()] == ["lib"]


def test_a_full_disk_changes_nothing_and_is_named(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        (folder / "libllama.so").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "libggml.so")

    monkeypatch.setattr(install, "fetch", full)
    monkeypatch.setenv("LLAMA", "prebuilt")

    with pytest.raises(SystemExit, match=r"No space left on device: 'libggml\.so'"):
        install.main()

    assert (installed / "libllama.so").read_text() == "old"
    assert [file.name for file in installed.parent.iterdir()] == ["lib"]


def test_libraries_alone_go_where_they_are_wanted(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "fetch", new_libraries)
    monkeypatch.setenv("LLAMA", "prebuilt")

    install.main(str(tmp_path))

    assert (tmp_path / "libllama.so").read_text() == "new"
    assert (installed / "libllama.so").read_text() == "old"


def test_what_does_not_fit_changes_nothing(installed: Path) -> None:
    def hold(modules: Path, made: Path) -> None:
        raise SystemExit("it does not fit")

    with pytest.raises(SystemExit, match="it does not fit"):
        install.install(new_libraries, hold)

    assert (installed / "libllama.so").read_text() == "old"
    assert [file.name for file in installed.parent.iterdir()] == ["lib"]


def build_lines(total: int) -> list[str]:
    return ["  -- Configuring", *(f"  [{n}/{total}] c++ x.cpp" for n in range(1, total + 1)), "end"]


def test_compile_shows_progress_in_tenths_to_a_file() -> None:
    screen = io.StringIO()
    lines = build_lines(387)

    assert list(compiled.progress(lines, screen, live=False)) == lines

    shown = [int(line.split(":")[1].split("%")[0]) for line in screen.getvalue().splitlines()]
    assert shown == [0, *range(10, 101, 10)]


def test_compile_rewrites_one_line_on_a_terminal() -> None:
    screen = io.StringIO()

    list(compiled.progress(build_lines(20), screen, live=True, interval=0))

    assert screen.getvalue().count("\r") == 20
    assert screen.getvalue().count("\n") == 1
    assert "100 %" in screen.getvalue()


def test_wheel_is_kept_apart_by_its_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiled.wheel_folder()
    assert compiled.wheel_folder() == before
    monkeypatch.setattr(compiled, "CMAKE_ARGS", ("-DGGML_NATIVE=ON",))
    assert compiled.wheel_folder() != before


GCC_12 = '__GNUC_MINOR__ 2\n__GNUC__ 12\n__VERSION__ "12.2.0"'
CLANG_14 = '__GNUC_MINOR__ 2\n__GNUC__ 4\n__VERSION__ "14.0.6"\n__clang__ 1\n__clang_major__ 14'


@pytest.mark.parametrize(
    ("version_text", "wrong"),
    [(GCC_12, True), (GCC_12.replace("12", "13"), False), (CLANG_14, False), ("", False)],
    ids=["gcc 12", "gcc 13", "clang", "none"],
)
def test_no_code_for_amx_by_a_compiler_that_makes_it_wrong(version_text: str, wrong: bool) -> None:
    assert compiled.makes_amx_wrong(version_text) is wrong


def test_wheel_is_kept_apart_by_its_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "compiler", lambda: GCC_12)
    before = compiled.wheel_folder()
    monkeypatch.setattr(compiled, "compiler", lambda: CLANG_14)
    assert compiled.wheel_folder() != before


def test_libraries_come_out_of_a_wheel_once_and_without_what_is_made_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "some-1.whl"
    names = ["libggml.so", "libggml.so.0", "libggml.so.0.25.3", "libllama.so"]
    inside = [*(f"llama_cpp/lib/{name}" for name in names), *(f"lib/{name}" for name in names)]
    inside += ["bin/libggml-cpu-icelake.so", "bin/libggml-cpu-sapphirerapids.so"]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in [*inside, "llama_cpp/llama_cpp.py", "lib/pkgconfig/llama.pc"]:
            archive.writestr(name, name)
    folder = tmp_path / "lib"
    folder.mkdir()
    monkeypatch.setattr(compiled, "compiler", lambda: GCC_12)

    found = compiled.unpack(wheel, folder)

    wanted = {"libggml-cpu-icelake.so", "libggml.so.0", "libllama.so"}
    assert {file.name for file in found} == wanted == {file.name for file in folder.iterdir()}


def archive_of(folder: Path, names: list[str]) -> Path:
    packed = folder / "libraries-1.tgz"
    with tarfile.open(packed, "w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    return packed


def test_ready_made_libraries_are_those_that_are_pinned_or_none(tmp_path: Path) -> None:
    packed = archive_of(tmp_path, ["bins/x/libllama.so"])
    digest = hashlib.sha512(packed.read_bytes()).digest()
    good = "sha512-" + base64.b64encode(digest).decode()
    pin = prebuilt.Pin("@some/libraries", "1", good, 1)
    npm = [sys.executable, "-c", "print('libraries-1.tgz')"]

    assert prebuilt.archive(pin, tmp_path, npm) == packed
    packed.write_bytes(packed.read_bytes() + b"\0")
    with pytest.raises(SystemExit, match="not the pinned package"):
        prebuilt.archive(pin, tmp_path, npm)


def test_of_a_ready_made_package_only_libraries_are_taken(tmp_path: Path) -> None:
    names = ["bins/x/libllama.v1.so", "bins/x/libllama-common.so", "bins/x/addon.node"]
    packed = archive_of(tmp_path, [*names, "dist/index.js", "LICENSE", "bins/x/../../evil.so"])
    folder = tmp_path / "lib"
    folder.mkdir()

    prebuilt.unpack(packed, folder)

    assert {f.name for f in folder.iterdir()} == {"libllama.v1.so", "evil.so", "LICENSE.txt"}
    assert not list(tmp_path.glob("*.so"))


def test_what_was_compiled_wrong_is_not_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, environment = [sys.executable, "-m", "appliance", "proof"], dict(os.environ)
    best = best_variant(prove(trial.NEEDS[0], command=command, environment=environment))
    plant(tmp_path, best, "traps")

    trial.leave_out_wrong(tmp_path)

    assert llama_libraries.variants().keys() - llama_libraries.variants(tmp_path).keys() == {best}
    assert "SIGILL" in capsys.readouterr().err


SKIPPING = """
import pytest

def test_passes(): pass

@pytest.mark.skip(reason="needs chromium")
def test_marked(): pass

@pytest.fixture
def tool(): pytest.skip("needs xvfb")

def test_by_fixture(tool): pass

@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""


@pytest.mark.parametrize(
    ("require_all", "counts"),
    [("", "1 passed, 3 skipped, 1 xfailed"), ("1", "1 passed, 1 xfailed, 3 errors")],
    ids=["usually", "REQUIRE_ALL=1"],
)
def test_skip_counts_as_failure_where_all_is_required(
    require_all: str, counts: str, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text("utf-8"))
    (tmp_path / "test_some.py").write_text(SKIPPING)
    (tmp_path / "test_whole.py").write_text("import pytest\npytest.importorskip('no_such_thing')")
    command = [sys.executable, "-m", "pytest", "-q", "--continue-on-collection-errors"]
    command += ["-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(
        command,
        env=os.environ | {"REQUIRE_ALL": require_all, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert counts in done.stdout
    assert (done.returncode == 0) is (require_all == "")
