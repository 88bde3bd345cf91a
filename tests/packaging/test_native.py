"""The llama.cpp upgrade reports every relevant interface difference, and no other."""

import json
import sys
import tarfile
from pathlib import Path

import pytest

from appliance.system import llama_libraries
from native import header, prebuilt, relied_on, symbols, update

HEADERS = {
    "include/llama.h": """
#include "ggml.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
#define LLAMA_API __attribute__ ((visibility ("default")))
#define DEPRECATED(func, hint) func __attribute__((deprecated(hint)))
    struct llama_vocab;
    typedef int32_t llama_token;
    enum llama_pooling { LLAMA_POOLING_NONE = -1, LLAMA_POOLING_MEAN, LLAMA_POOLING_LAST = 1 << 2 };
    struct llama_inner { llama_token id; float logit; };
    typedef struct llama_params {
        uint32_t n_ctx;     // tokens
        enum llama_pooling pooling;
        const struct llama_inner * inner;
        struct ggml_tensor * tensor;
        bool (*abort)(void * data);
    } llama_params;
    struct llama_other { int a; };
    LLAMA_API llama_params llama_default(void);
    LLAMA_API int32_t llama_tokenize(
        const struct llama_vocab * vocab, const char * text, bool special);
    LLAMA_API void llama_unused(struct llama_other * other);
    DEPRECATED(LLAMA_API void llama_old(int a), "use another");
#ifdef __cplusplus
}
#endif
""",
    "ggml/include/ggml.h": """
#pragma once
#include <stdint.h>
    struct ggml_tensor { int64_t ne[4]; };
""",
}
CALLED = ["llama_default", "llama_tokenize"]
USED = ["LLAMA_POOLING_LAST"]


def of(folder: Path, old: str = "", new: str = "") -> header.Header:
    """The header, with some words in place of others."""
    source = folder / ("changed" if old else "unchanged")
    assert any(old in text for text in HEADERS.values())
    for name, text in HEADERS.items():
        file = source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace(old, new) if old else text, "utf-8")
    return header.read(source)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("const char * text", "const char * words"),
        ("// tokens", "// as many as fit"),
        ("struct llama_other { int a; };", "struct llama_other { char a; int b; };"),
        ("void llama_unused(struct llama_other * other);", "void llama_added(int a);"),
        ("LLAMA_POOLING_MEAN,", "LLAMA_POOLING_CLS,"),
        ("int64_t ne[4]", "int64_t ne[5]"),
    ],
    ids=["argument's name", "comment", "other struct", "other function", "constant", "passed on"],
)
def test_what_does_not_matter_is_no_difference(old: str, new: str, tmp_path: Path) -> None:
    assert header.differences(of(tmp_path), of(tmp_path, old, new), CALLED, USED) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            *("llama_tokenize(", "llama_tokenise("),
            "the library has no function llama_tokenize",
        ),
        (
            *("bool special)", "bool special, int32_t room)"),
            (
                "llama_tokenize is int32_t (const llama_vocab *, const char *, bool, int32_t) "
                "where the bindings have int32_t (const llama_vocab *, const char *, bool)"
            ),
        ),
        (
            *("uint32_t n_ctx; ", "bool quick; uint32_t n_ctx; "),
            "struct llama_params has bool quick where the bindings have uint32_t n_ctx",
        ),
        (
            *("bool (*abort)(void * data);", "bool (*abort)(void * data); float more;"),
            "struct llama_params has float more where the bindings have nothing",
        ),
        (
            *("float logit;", "double logit;"),
            "struct llama_inner has double logit where the bindings have float logit",
        ),
        (
            *("int32_t llama_token;", "int64_t llama_token;"),
            "llama_token has int64_t where the bindings have int32_t",
        ),
        (
            *("LLAMA_POOLING_LAST = 1 << 2", "LLAMA_POOLING_LAST"),
            "LLAMA_POOLING_LAST is 1 where the bindings have 4",
        ),
    ],
    ids=["function", "argument", "field", "longer", "inner", "type", "constant"],
)
def test_every_difference_is_named(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert header.differences(of(tmp_path), of(tmp_path, old, new), CALLED, USED) == [expected]


def packed(folder: Path, *changes: tuple[bytes, bytes], without: str = "no library") -> Path:
    """This system's own libraries, packed as npm does, with some bytes replaced."""
    file = folder / "libraries.tgz"
    with tarfile.open(file, "w:gz", compresslevel=1) as archive:
        for name, library in llama_libraries.found().items():
            if name.startswith(without) or name == "ggml-vulkan":
                continue
            content = library.read_bytes()
            for old, new in changes:
                content = content.replace(old, new)
            changed = folder / library.name
            changed.write_bytes(content)
            archive.add(changed, f"package/bins/some/{library.name}")
            changed.unlink()
    return file


def test_this_systems_libraries_have_all(tmp_path: Path) -> None:
    assert symbols.faults(packed(tmp_path), prebuilt.this_system(), relied_on.functions()) == []


def test_what_libraries_lack_is_named(tmp_path: Path) -> None:
    lacking = packed(tmp_path, (b"\0llama_print_system_info\0", b"\0llama_print_system_infx\0"))
    assert symbols.faults(lacking, prebuilt.this_system(), relied_on.functions()) == [
        "there is no function llama_print_system_info"
    ]


def test_a_library_that_another_one_loads_is_missed(tmp_path: Path) -> None:
    (fault,) = symbols.faults(packed(tmp_path, without="ggml-base"), prebuilt.this_system(), [])
    assert fault.startswith("it loads ") and fault.endswith(", which is not inside")


def test_libraries_for_another_processor_are_refused(tmp_path: Path) -> None:
    (fault,) = symbols.faults(packed(tmp_path), "some-riscv64", [])
    assert fault.startswith("it is for ")


def test_an_archive_of_something_else_is_named(tmp_path: Path) -> None:
    file = tmp_path / "some.tgz"
    file.write_bytes(b"no archive")
    (fault,) = symbols.faults(file, "linux-x64", [])
    assert fault.startswith("some.tgz cannot be read")
    text = tmp_path / "liball.so"
    text.write_text("no library")
    with tarfile.open(file, "w:gz") as archive:
        archive.add(text, "package/bins/some/liball.so")
    assert symbols.faults(file, "linux-x64", []) == [
        "some.tgz cannot be read: liball.so has an unknown library format"
    ]


def test_systems_move_as_far_as_their_packages_are_there(tmp_path: Path) -> None:
    listed = {
        "@x/linux": ["1.9.0", "1.10.0", "1.11.0-beta.1"],
        "@x/linux-cuda": ["1.9.0", "1.10.0", "1.11.0"],
        "@x/mac": ["1.9.0"],
    }
    registry = tmp_path / "npm.py"
    registry.write_text(f"import json, sys\nprint(json.dumps({listed}[sys.argv[2]]))", "utf-8")
    npm = [sys.executable, str(registry)]
    pins = {
        "linux-x64": prebuilt.Pin("@x/linux", "1.9.0", "", 1),
        "linux-x64-cuda": prebuilt.Pin("@x/linux-cuda", "1.9.0", "", 1),
        "darwin-arm64": prebuilt.Pin("@x/mac", "1.8.0", "", 1),
    }
    assert update.chosen(pins, "", npm) == {
        "linux-x64": "1.10.0",
        "linux-x64-cuda": "1.10.0",
        "darwin-arm64": "1.9.0",
    }
    assert update.chosen(pins, "1.10.0", npm)["darwin-arm64"] == "1.8.0"


def test_a_lock_gets_version_and_hash_and_keeps_the_rest(tmp_path: Path) -> None:
    archive = tmp_path / "llama_cpp_python-0.4.1.tar.gz"
    archive.write_bytes(b"some")
    old = "# made by\nllama-cpp-python==0.3.36 \\\n    --hash=sha256:12ab\n"
    assert update.locked(old, archive) == (
        "# made by\nllama-cpp-python==0.4.1 \\\n    --hash=sha256:"
        "a6b46dd0d1ae5e86cbc8f37e75ceeb6760230c1ca4ffbcb0c97b96dd7d9c464b\n"
    )


def test_what_the_appliance_relies_on_is_compared() -> None:
    old = {"functions": ["a", "b"], "defaults": {"f": {"n": 1}}}
    new = {"functions": ["b", "c"], "defaults": {"f": {"n": 2}}}
    assert update.changes(json.dumps(old), json.dumps(old)) == []
    assert update.changes(json.dumps(old), json.dumps(new)) == [
        "a: gone, before there",
        "c: there, before not there",
        "defaults.f.n: 2, before 1",
    ]
