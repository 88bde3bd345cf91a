"""Libraries and bindings must have the same interface, or nothing starts and an error says why."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from appliance.system import llama_libraries
from appliance.worker.runners.llama_cpp.native import interface
from native import relied_on
from tests.running import Running
from tests.waiting import wait_until


def compared(preparation: str = "") -> list[str]:
    """The differences that a new process reports after a fault was injected into it."""
    code = "from appliance.worker.runners.llama_cpp.native import interface as i\n"
    code += "from appliance.worker.runners.llama_cpp.native.bindings import lib\n"
    code += f"import ctypes\n{preparation}\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "i.main()"], capture_output=True, text=True, check=False
    )
    lines = done.stderr.splitlines()
    assert done.returncode == (1 if lines else 0), done.stderr
    return lines


def test_libraries_and_functions_fit_together() -> None:
    assert compared() == []


def test_what_is_relied_on_is_what_the_source_calls() -> None:
    described = interface.described()
    assert described.functions == relied_on.functions()
    assert set(described.defaults) == set(relied_on.DEFAULTS)
    assert set(described.names) == set(relied_on.NAMES)


def described_otherwise(folder: Path, **changes: object) -> str:
    description = json.loads(interface.DESCRIPTION.read_text("utf-8"))
    for part, change in changes.items():
        if isinstance(change, str):
            description[part].append(change)
        else:
            for function, values in change.items():  # type: ignore[attr-defined]
                description[part][function].update(values)
    file = folder / "interface.json"
    file.write_text(json.dumps(description), "utf-8")
    return f"import pathlib\ni.DESCRIPTION = pathlib.Path({str(file)!r})"


def test_a_function_that_is_missing_is_named(tmp_path: Path) -> None:
    planted = described_otherwise(tmp_path, functions="llama_of_tomorrow")
    assert compared(planted) == ["there is no function llama_of_tomorrow"]


def test_other_defaults_are_named(tmp_path: Path) -> None:
    planted = described_otherwise(
        tmp_path,
        defaults={"llama_context_default_params": {"n_ctx": 7}},
        names={"ggml_type_name": {"8": "q9_9"}},
    )
    assert compared(planted) == [
        "llama_context_default_params: n_ctx is 512 where 7 was expected",
        "ggml_type_name: 8 is 'q8_0' where 'q9_9' was expected",
    ]


LONGER = """
class Longer(ctypes.Structure):
    _fields_ = [*lib.llama_context_params._fields_, ("more", ctypes.c_void_p * 2)]
lib.llama_context_default_params.restype = Longer
"""
SHIFTED = """
class Shifted(ctypes.Structure):
    _fields_ = [("new", ctypes.c_int32), *lib.llama_model_params._fields_]
lib.llama_model_default_params.restype = Shifted
"""
OTHER_BATCH = """
class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32), *reversed(lib.llama_batch._fields_[1:])]
lib.llama_batch_init.restype = Batch
"""
OTHER_CANDIDATE = """
class Candidate(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int32), ("p", ctypes.c_float), ("logit", ctypes.c_float)]
lib.llama_token_data = Candidate
class Candidates(ctypes.Structure):
    _fields_ = [("data", ctypes.POINTER(Candidate)), *lib.llama_token_data_array._fields_[1:]]
lib.llama_token_data_array = Candidates
lib.llama_sampler_apply.argtypes = None
"""
OTHER_BIAS = """
class Bias(ctypes.Structure):
    _fields_ = [("bias", ctypes.c_float), ("token", ctypes.c_int32)]
lib.llama_logit_bias = Bias
lib.llama_sampler_init_logit_bias.argtypes = None
"""


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        (LONGER, "llama_context_default_params"),
        (SHIFTED, "llama_model_default_params"),
        (OTHER_BATCH, "llama_batch"),
        (OTHER_CANDIDATE, "llama_token_data"),
        (OTHER_BIAS, "llama_logit_bias"),
    ],
    ids=["longer", "shifted", "batch", "candidate", "bias"],
)
def test_another_structure_is_named(planted: str, named: str) -> None:
    assert any(sentence.startswith(named) for sentence in compared(planted))


@pytest.fixture
def lacking(tmp_path: Path) -> Iterator[Path]:
    """The real libraries, with one function under another name."""
    folder = tmp_path / "lib"
    shutil.copytree(llama_libraries.folder(), folder)
    library = llama_libraries.found(folder)["llama"]
    content = library.read_bytes()
    assert b"\0llama_print_system_info\0" in content
    library.write_bytes(
        content.replace(b"\0llama_print_system_info\0", b"\0llama_print_system_infx\0")
    )
    yield folder
    shutil.rmtree(folder)


def test_an_incompatible_library_is_reported_and_never_used(lacking: Path, tmp_path: Path) -> None:
    appliance = Running(tmp_path, LLAMA_CPP_LIB_PATH=str(lacking))
    output = appliance.command("doctor").stdout
    appliance.start(ready=False)
    try:
        wait_until(
            lambda: "llama_print_system_info" in httpx.get(f"{appliance.url}/readiness").text,
            "the reason is not reported",
        )
        assert httpx.get(f"{appliance.url}/readiness").status_code == 503
        wait_until(lambda: "given up" in appliance.log.read_text("utf-8"), "nothing is in the log")
    finally:
        assert appliance.stop() == 0
    for text in (output, appliance.log.read_text("utf-8")):
        assert "is not the llama.cpp that the appliance was made for" in text
        assert "there is no function llama_print_system_info" in text
        assert str(lacking) in text


def test_a_folder_without_a_library_is_named(tmp_path: Path) -> None:
    output = Running(tmp_path, LLAMA_CPP_LIB_PATH=str(tmp_path)).command("doctor").stdout
    assert f"llama.cpp is not installed: {tmp_path} has no library of it" in output


def test_what_is_no_library_is_named(lacking: Path, tmp_path: Path) -> None:
    llama_libraries.found(lacking)["llama"].write_bytes(b"no library")
    output = Running(tmp_path, LLAMA_CPP_LIB_PATH=str(lacking)).command("doctor").stdout
    assert "llama.cpp cannot be loaded: " in output and str(lacking) in output
