"""An appliance whose GPU driver has a fault: some Vulkan functions are replaced.

    python tests/engine/vulkan/faulty_driver.py serve …

The loader gives all callers the same functions, so the beginning of a function is overwritten with
a jump to here, in each process that computes. VK_FAULTS lists the faults as JSON:

    {"lost": FILE}              VK_ERROR_DEVICE_LOST at every submission, once the file is there
    {"memory": BYTES}           VK_ERROR_OUT_OF_DEVICE_MEMORY for what goes beyond so many
    {"wrong": true}             of each computation a part is left out
    {"hangs": FILE}             a submission does not return, once the file is there
    {}                          none

A comparison reads no more than what it must, as on a machine that is slow: a GPU that is none is.
"""

import ctypes
import json
import mmap
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance import __main__
from appliance.config import paths

OUT_OF_DEVICE_MEMORY, DEVICE_LOST = -2, -4
"""`VkResult`."""
SIZE_AT = 16
"""Of `allocationSize` in `VkMemoryAllocateInfo`."""
PROTECTION = 7
"""Read, write, execute."""

_kept: list[object] = []
"""Objects that native code points to."""


def replace(library: ctypes.CDLL, name: str, signature: Any, response: Callable[..., Any]) -> None:
    """From now on every caller of the library's function gets `answer` instead."""
    callback = signature(response)
    _kept.append(callback)
    target = ctypes.cast(callback, ctypes.c_void_p).value
    place = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    assert target and place
    address = target.to_bytes(8, "little")
    if platform.machine() in ("x86_64", "AMD64"):
        code = b"\x48\xb8" + address + b"\xff\xe0"  # mov rax, address; jmp rax
    else:
        code = bytes.fromhex("5000005800021fd6") + address  # ldr x16, #8; br x16
    page = place & -mmap.PAGESIZE
    size = place + len(code) - page
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), ctypes.c_size_t(size), PROTECTION):
        raise OSError("the function cannot be written over")
    ctypes.memmove(place, code, len(code))


def plant(faults: dict[str, Any]) -> None:
    """Install the faults in this process."""
    library = ctypes.CDLL("libvulkan.so.1")
    pointer, result = ctypes.c_void_p, ctypes.c_int
    get = ctypes.CFUNCTYPE(pointer, pointer, ctypes.c_char_p)(
        ctypes.cast(library.vkGetDeviceProcAddr, pointer).value or 0
    )
    devices: list[int] = []
    sizes: dict[int, int] = {}

    def original(name: bytes, signature: Any) -> Any:
        return signature(get(devices[0], name))

    allocation = ctypes.CFUNCTYPE(result, pointer, pointer, pointer, pointer)
    submission = ctypes.CFUNCTYPE(result, pointer, ctypes.c_uint32, pointer, pointer)
    dispatch = ctypes.CFUNCTYPE(None, pointer, *[ctypes.c_uint32] * 3)
    freeing = ctypes.CFUNCTYPE(None, pointer, pointer, pointer)

    def allocate(device: int, info: int, allocator: int, memory: int) -> int:
        devices.append(device)
        size = ctypes.c_uint64.from_address(info + SIZE_AT).value
        if sum(sizes.values()) + size > faults.get("memory", sys.maxsize):
            return OUT_OF_DEVICE_MEMORY
        code: int = original(b"vkAllocateMemory", allocation)(device, info, allocator, memory)
        sizes[ctypes.c_uint64.from_address(memory).value] = size
        return code

    def free(device: int, memory: int, allocator: int) -> None:
        sizes.pop(memory, None)
        original(b"vkFreeMemory", freeing)(device, memory, allocator)

    def submit(queue: int, count: int, infos: int, fence: int) -> int:
        if "lost" in faults and Path(faults["lost"]).exists():
            return DEVICE_LOST
        while "hangs" in faults and Path(faults["hangs"]).exists():
            time.sleep(0.1)
        code: int = original(b"vkQueueSubmit", submission)(queue, count, infos, fence)
        return code

    def compute(commands: int, x: int, y: int, z: int) -> None:
        part = x - x // 8
        original(b"vkCmdDispatch", dispatch)(commands, part, y, z)

    replace(library, "vkAllocateMemory", allocation, allocate)
    replace(library, "vkFreeMemory", freeing, free)
    if "lost" in faults or "hangs" in faults:
        replace(library, "vkQueueSubmit", submission, submit)
    if "wrong" in faults:
        replace(library, "vkCmdDispatch", dispatch, compute)


def main() -> None:
    """A command of the appliance, whose processes are started from here as well."""
    paths.worker_command = lambda: [sys.executable, __file__, "worker"]
    if sys.argv[1:2] == ["fidelity"]:
        from appliance.tuning.process import devices

        devices.BUDGET_SECONDS = 0.0
    faults = json.loads(os.environ["VK_FAULTS"])
    if faults and sys.argv[1:2] in (["worker"], ["fidelity"]):
        plant(faults)
    __main__.main()


if __name__ == "__main__":
    main()
