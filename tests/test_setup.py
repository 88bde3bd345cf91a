"""What set-up promises: pinned by hash, no address of a registry, plain words, visible progress."""

import io
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import llama_wheel

ROOT = Path(__file__).resolve().parent.parent
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
    # On which systems a package is wanted may differ; version and hashes may not.
    system = re.compile(r" ;.*(?= \\$)", re.MULTILINE)
    assert {name: system.sub("", dev[name]) for name in run} == {
        name: system.sub("", entry) for name, entry in run.items()
    }


def test_npm_lock_has_hashes_and_no_address() -> None:
    lock = json.loads((ROOT / "ui" / "package-lock.json").read_text("utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    # What travels inside another package is covered by that one's hash.
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
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "packaging" / "check-tools.sh")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert [line.split(" is missing")[0] for line in said] == [
        "Python",
        "A C and C++ compiler",
        "Node.js",
        "npm",
    ]
    assert all("Debian: " in line for line in said)


def build_lines(total: int) -> list[str]:
    return ["  -- Configuring", *(f"  [{n}/{total}] c++ x.cpp" for n in range(1, total + 1)), "end"]


def test_compile_shows_progress_in_tenths_to_a_file() -> None:
    screen = io.StringIO()
    lines = build_lines(387)

    assert list(llama_wheel.progress(lines, screen, live=False)) == lines

    shown = [int(line.split(":")[1].split("%")[0]) for line in screen.getvalue().splitlines()]
    assert shown == [0, *range(10, 101, 10)]


def test_compile_rewrites_one_line_on_a_terminal() -> None:
    screen = io.StringIO()

    list(llama_wheel.progress(build_lines(20), screen, live=True, interval=0))

    assert screen.getvalue().count("\r") == 20
    assert screen.getvalue().count("\n") == 1
    assert "100 %" in screen.getvalue()


def test_wheel_is_kept_apart_by_its_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    before = llama_wheel.wheel_folder()
    assert llama_wheel.wheel_folder() == before
    monkeypatch.setattr(llama_wheel, "CMAKE_ARGS", ("-DGGML_NATIVE=ON",))
    assert llama_wheel.wheel_folder() != before


GCC_12 = '__GNUC_MINOR__ 2\n__GNUC__ 12\n__VERSION__ "12.2.0"'
CLANG_14 = '__GNUC_MINOR__ 2\n__GNUC__ 4\n__VERSION__ "14.0.6"\n__clang__ 1\n__clang_major__ 14'


@pytest.mark.parametrize(
    ("said", "wrong"),
    [(GCC_12, True), (GCC_12.replace("12", "13"), False), (CLANG_14, False), ("", False)],
    ids=["gcc 12", "gcc 13", "clang", "none"],
)
def test_no_code_for_amx_by_a_compiler_that_makes_it_wrong(said: str, wrong: bool) -> None:
    assert llama_wheel.makes_amx_wrong(said) is wrong


def test_wheel_is_kept_apart_by_its_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_wheel, "compiler", lambda: GCC_12)
    before = llama_wheel.wheel_folder()
    monkeypatch.setattr(llama_wheel, "compiler", lambda: CLANG_14)
    assert llama_wheel.wheel_folder() != before


def test_variant_is_left_out_of_a_wheel_and_of_its_list(tmp_path: Path) -> None:
    wheel = tmp_path / "some-1.whl"
    files = {"bin/libggml-cpu-icelake.so": "a", "bin/libggml-cpu-sapphirerapids.so": "b"}
    record = "".join(f"{name},sha256=x,1\n" for name in files)
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, "some-1.dist-info/RECORD": record}.items():
            archive.writestr(name, text)

    llama_wheel.leave_out(wheel, llama_wheel.AMX_VARIANT)

    with zipfile.ZipFile(wheel) as archive:
        assert archive.namelist() == ["bin/libggml-cpu-icelake.so", "some-1.dist-info/RECORD"]
        assert archive.read("some-1.dist-info/RECORD") == b"bin/libggml-cpu-icelake.so,sha256=x,1\n"
    assert list(tmp_path.iterdir()) == [wheel]


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
