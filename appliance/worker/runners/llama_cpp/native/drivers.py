"""Which driver a GPU is computed with, by the driver's own library: llama.cpp does not report it.

What is found out here decides whether an old comparison with the processor still counts, so it need
be no more than different for each version of a driver. Where nobody says anything it is empty.
"""

import ctypes
import functools
import platform
import sys
from pathlib import Path
from typing import NamedTuple

_NVIDIA = Path("/proc/driver/nvidia/version")
_VULKAN = {"linux": "libvulkan.so.1", "win32": "vulkan-1.dll"}

_APPLICATION_INFO, _INSTANCE_CREATE_INFO = 0, 1
_PROPERTIES_2, _DRIVER_PROPERTIES = 1000059001, 1000196000
"""`VkStructureType`."""
_VERSION_1_1, _VERSION_1_2 = (1 << 22) | (1 << 12), (1 << 22) | (2 << 12)
_PROPERTIES_BYTES = 1024
"""Room for the limits that follow what is read of `VkPhysicalDeviceProperties` (824 bytes)."""


class Driver(NamedTuple):
    """A driver, as it names itself."""

    name: str = ""
    """With its version, for people."""
    build: str = ""
    """Another one for every build of it."""


def driver_of(family: str, description: str) -> Driver:
    """The driver of the device of that description. Never raises."""
    if family == "vulkan":
        return _vulkan().get(description, Driver())
    if family == "cuda":
        return _nvidia()
    if family == "metal":
        return Driver(f"macOS {platform.mac_ver()[0]}", platform.mac_ver()[0])
    return Driver()


@functools.cache
def _nvidia() -> Driver:
    try:
        line = _NVIDIA.read_text("utf-8", "replace").partition("\n")[0].strip()
    except OSError:
        line = ""
    if not line:
        try:
            library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
            version = ctypes.c_int()
            if library.cuDriverGetVersion(ctypes.byref(version)) == 0:
                line = f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"
        except (OSError, AttributeError):
            return Driver()
    return Driver(line.removeprefix("NVRM version:").strip(), line)


class _ApplicationInfo(ctypes.Structure):
    """`VkApplicationInfo`."""

    _fields_ = (
        ("sType", ctypes.c_uint32),
        ("pNext", ctypes.c_void_p),
        ("pApplicationName", ctypes.c_char_p),
        ("applicationVersion", ctypes.c_uint32),
        ("pEngineName", ctypes.c_char_p),
        ("engineVersion", ctypes.c_uint32),
        ("apiVersion", ctypes.c_uint32),
    )


class _InstanceCreateInfo(ctypes.Structure):
    """`VkInstanceCreateInfo`."""

    _fields_ = (
        ("sType", ctypes.c_uint32),
        ("pNext", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("pApplicationInfo", ctypes.POINTER(_ApplicationInfo)),
        ("enabledLayerCount", ctypes.c_uint32),
        ("ppEnabledLayerNames", ctypes.c_void_p),
        ("enabledExtensionCount", ctypes.c_uint32),
        ("ppEnabledExtensionNames", ctypes.c_void_p),
    )


class _DriverProperties(ctypes.Structure):
    """`VkPhysicalDeviceDriverProperties`."""

    _fields_ = (
        ("sType", ctypes.c_uint32),
        ("pNext", ctypes.c_void_p),
        ("driverID", ctypes.c_uint32),
        ("driverName", ctypes.c_char * 256),
        ("driverInfo", ctypes.c_char * 256),
        ("conformanceVersion", ctypes.c_uint8 * 4),
    )


class _Properties(ctypes.Structure):
    """`VkPhysicalDeviceProperties2`, as far as it is read."""

    _fields_ = (
        ("sType", ctypes.c_uint32),
        ("pNext", ctypes.c_void_p),
        ("apiVersion", ctypes.c_uint32),
        ("driverVersion", ctypes.c_uint32),
        ("vendorID", ctypes.c_uint32),
        ("deviceID", ctypes.c_uint32),
        ("deviceType", ctypes.c_uint32),
        ("deviceName", ctypes.c_char * 256),
        ("pipelineCacheUUID", ctypes.c_uint8 * 16),
        ("rest", ctypes.c_uint8 * _PROPERTIES_BYTES),
    )


@functools.cache
def _vulkan() -> dict[str, Driver]:
    """By the device's name. What its pipeline cache is for changes with every build of a driver."""
    name = _VULKAN.get(sys.platform)
    if name is None:
        return {}
    try:
        library = ctypes.CDLL(name)
        application = _ApplicationInfo(sType=_APPLICATION_INFO, apiVersion=_VERSION_1_1)
        wanted = _InstanceCreateInfo(
            sType=_INSTANCE_CREATE_INFO, pApplicationInfo=ctypes.pointer(application)
        )
        instance = ctypes.c_void_p()
        if library.vkCreateInstance(ctypes.byref(wanted), None, ctypes.byref(instance)) != 0:
            return {}
        try:
            return dict(_ask(library, device) for device in _physical(library, instance))
        finally:
            library.vkDestroyInstance(instance, None)
    except (OSError, AttributeError):
        return {}


def _physical(library: ctypes.CDLL, instance: ctypes.c_void_p) -> list[ctypes.c_void_p]:
    count = ctypes.c_uint32()
    library.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    found = (ctypes.c_void_p * count.value)()
    library.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), found)
    return [ctypes.c_void_p(handle) for handle in found[: count.value]]


def _ask(library: ctypes.CDLL, device: ctypes.c_void_p) -> tuple[str, Driver]:
    driver = _DriverProperties(sType=_DRIVER_PROPERTIES)
    found = _Properties(sType=_PROPERTIES_2)
    library.vkGetPhysicalDeviceProperties2(device, ctypes.byref(found))
    if found.apiVersion >= _VERSION_1_2:
        found.pNext = ctypes.addressof(driver)
        library.vkGetPhysicalDeviceProperties2(device, ctypes.byref(found))
    words = [driver.driverName.decode("utf-8", "replace")]
    words.append(driver.driverInfo.decode("utf-8", "replace"))
    version = " ".join(filter(None, words)) or f"version {found.driverVersion:#x}"
    build = f"{version} {found.driverVersion:x} {bytes(found.pipelineCacheUUID).hex()}"
    return found.deviceName.decode("utf-8", "replace"), Driver(version, build)
