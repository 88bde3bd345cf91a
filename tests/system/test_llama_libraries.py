"""The kind of a library, by its file name, on every system."""

from pathlib import Path

import pytest

from appliance.system import llama_libraries

READY_MADE = {
    "linux-x64": {
        "libggml-base.so": "ggml-base",
        "libggml-cpu-haswell.so": "ggml-cpu-haswell",
        "libggml-cpu-x64.so": "ggml-cpu-x64",
        "libggml-vulkan.so": "ggml-vulkan",
        "libggml.vulkan.v0.5.0.so": "ggml",
        "libllama.vulkan.v0.5.0.so": "llama",
    },
    "linux-arm64": {
        "libggml-cpu-armv8.0_1.so": "ggml-cpu-armv8.0_1",
        "libggml-cpu-armv8.2_1.so": "ggml-cpu-armv8.2_1",
        "libggml-cpu-armv9.2_2.so": "ggml-cpu-armv9.2_2",
        "libggml.v0.5.0.so": "ggml",
        "libllama.v0.5.0.so": "llama",
    },
    "darwin-arm64": {
        "libggml-base.dylib": "ggml-base",
        "libggml-blas.so": "ggml-blas",
        "libggml-cpu-apple_m2_m3.so": "ggml-cpu-apple_m2_m3",
        "libggml-metal.so": "ggml-metal",
        "libggml.metal.v0.4.0.dylib": "ggml",
        "libllama.metal.v0.4.0.dylib": "llama",
    },
    "win32-x64": {
        "ggml-base.dll": "ggml-base",
        "ggml-cpu-zen4.dll": "ggml-cpu-zen4",
        "ggml-vulkan.dll": "ggml-vulkan",
        "ggml.vulkan.v0.4.0.dll": "ggml",
        "llama.vulkan.v0.4.0.dll": "llama",
    },
    "win32-arm64": {
        "ggml-base.dll": "ggml-base",
        "ggml-cpu.dll": "ggml-cpu",
        "ggml.v0.4.0.dll": "ggml",
        "llama.v0.4.0.dll": "llama",
    },
    "compiled on Linux": {
        "libggml-base.so.0": "ggml-base",
        "libggml-cpu-skylakex.so": "ggml-cpu-skylakex",
        "libggml.so.0.25.3": "ggml",
        "libllama.so": "llama",
    },
    "compiled on macOS": {"libggml.0.dylib": "ggml", "libllama.0.0.1.dylib": "llama"},
}
OTHERS = ("LICENSE.txt", "llama-addon.node", "llama-addon.lib", "build.json")


@pytest.mark.parametrize("system", READY_MADE)
def test_libraries_are_known_by_their_names(system: str, tmp_path: Path) -> None:
    for name in (*READY_MADE[system], *OTHERS):
        (tmp_path / name).write_bytes(b"")
    found = llama_libraries.found(tmp_path)
    assert {file.name: name for name, file in found.items()} == READY_MADE[system]


def test_variants_and_backends_are_distinguished(tmp_path: Path) -> None:
    for name in READY_MADE["linux-x64"] | READY_MADE["linux-arm64"] | READY_MADE["darwin-arm64"]:
        (tmp_path / name).write_bytes(b"")
    assert set(llama_libraries.variants(tmp_path)) == {
        *("haswell", "x64", "armv8.0_1", "armv8.2_1", "armv9.2_2", "apple_m2_m3"),
    }
    assert set(llama_libraries.backends(tmp_path)) == {"vulkan", "metal", "blas"}
