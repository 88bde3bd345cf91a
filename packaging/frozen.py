"""What goes into a frozen build; used by `appliance.spec`.

PyInstaller follows imports by itself. This module adds what it can't see – the page, the model,
libraries that are loaded by name – and leaves out what it would bundle needlessly.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import contents
from native import prebuilt

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
SITE = Path(sysconfig.get_path("platlib"))

sys.path.insert(0, str(ROOT))

Entry = tuple[str, str, str]
"""Path in the folder, source, and PyInstaller's type code."""

WINDOW_LIBRARIES = [
    "gi",
    "cairo",
    "PySide6",
    "shiboken6",
    "qtpy",
    "webview",
    "bottle",
    "proxy_tools",
]
NEVER = ["tkinter", "_tkinter", "readline", "numpy.f2py", "numpy.testing", "hf_xet"]
"""Unneeded parts of needed packages. What `hf_xet` transfers, `models/hub` does itself."""
LOCKS_OF_THE_PROGRAM = ("run.txt", "window.txt", "model.txt", "llama.txt")
GTK_IS_THE_SYSTEMS = ("share/", "gi_typelibs/", "lib/gdk-pixbuf", "lib/gtk-3.0", "gio_modules")
"""Parts of GTK, which must match the GTK of the machine that runs the build."""
THE_SYSTEMS_TOO = (
    "libstdc++",
    "libgcc_s",
    "libffi",
    "libz.so",
    "liblzma",
    "libuuid",
    "libssl",
    "libcrypto",
)
"""Libraries that GTK and WebKit load as well. The machine's may be newer than ours, and a process
loads only one of them."""
OF_A_DRIVER = ("libvulkan", "libcuda.", "vulkan-1")
"""These come with the driver of the machine that runs the build, and must match it."""


_origins: dict[str, Path] = {}
"""The original files of stripped libraries."""


def name(window: bool) -> str:
    """The name of the folder below `dist/`."""
    return "appliance" if window else "appliance-server"


def datas() -> list[tuple[str, str]]:
    """Data files, and the folders they go to."""
    from appliance.config import paths
    from appliance.service import build_info

    page = paths.ui_dir()
    if not (page / "index.html").is_file():
        raise SystemExit("The page is not built: run `make ui/dist/index.html` first.")
    BUILD.mkdir(exist_ok=True)
    build = BUILD / "build.json"
    build.write_text(json.dumps({"commit": build_info.commit()}))
    icon_file = BUILD / "icon.png"
    icon_file.write_bytes((ROOT / "packaging/icons/icon-256.png").read_bytes())
    return [
        (str(page), "ui/dist"),
        (str(paths.embedded_model()), "models"),
        (str(build), "."),
        (str(icon_file), "."),
        (str(ROOT / "config.example.toml"), "."),
        (str(ROOT / "LICENSE"), "."),
        # It asks for its own version.
        *((str(file), file.parent.name) for file in SITE.glob("llguidance-*.dist-info/METADATA")),
        *((str(file), file.parent.name) for file in SITE.glob("pypdfium2*/version.json")),
        # Everything in the package that is not a module is a data file.
        *(
            (str(file), str(file.parent.relative_to(ROOT)))
            for file in sorted((ROOT / "appliance").rglob("*"))
            if file.is_file() and file.suffix not in {".py", ".pyc"}
        ),
    ]


def native_libraries() -> list[tuple[str, str]]:
    """llama.cpp with a backend for every CPU, the libraries for old model files, and PDFium."""
    from appliance.system import llama_libraries
    from appliance.worker.runners.ctransformers import runner

    found = llama_libraries.found()
    if "llama" not in found:
        raise SystemExit("llama.cpp is not installed; see `make run`.")
    ending = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    old = SITE / "ctransformers" / "lib"
    return [
        *((str(file), "llama_cpp/lib") for file in found.values()),
        *(
            (str(file), "pypdfium2_raw")
            for file in (SITE / "pypdfium2_raw").glob(f"*pdfium{ending}")
        ),
        *(
            (str(file), f"ctransformers/lib/{file.parent.name}")
            for file in sorted(old.glob(f"*/*{ending}"))
            if runner.has_library() and file.parent.name != "cuda"
        ),
    ]


def hidden_imports(window: bool) -> list[str]:
    """Modules that are imported by a name known only at run time."""
    return ["webview.platforms.gtk", "cairo", "gi"] if window and sys.platform == "linux" else []


def excluded(window: bool) -> list[str]:
    """Installed modules that are not wanted."""
    qt = ["PySide6", "shiboken6", "qtpy"]
    return [*NEVER, *_not_the_programs(), *(qt if window else WINDOW_LIBRARIES)]


def _not_the_programs() -> list[str]:
    """Modules installed for tests and tools; libraries would import some of them if present."""
    locked: set[str] = set()
    for lock in LOCKS_OF_THE_PROGRAM:
        text = (ROOT / "requirements" / lock).read_text("utf-8")
        locked |= {_plain(one) for one in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    locked |= {"appliance", "llama-cpp-python"}
    return [
        module
        for module, makers in importlib.metadata.packages_distributions().items()
        if module.isidentifier() and not locked & set(map(_plain, makers))
    ]


def _plain(name: str) -> str:
    """A distribution's normalized name, as in lock files."""
    return re.sub(r"[-_.]+", "-", name).lower()


def take_out(analysis: Any, window: bool) -> None:
    """Removes debugging symbols, libraries that come with drivers, and GTK with its dependencies,
    which come from the system's packages."""
    analysis.binaries = [one for one in analysis.binaries if not one[0].startswith(OF_A_DRIVER)]
    if window and sys.platform == "linux":
        analysis.datas = [
            one for one in analysis.datas if not one[0].startswith(GTK_IS_THE_SYSTEMS)
        ]
        ours = _needed_by_us(analysis.binaries)
        analysis.binaries = [one for one in analysis.binaries if one[0] in ours]
    analysis.binaries = [
        (inside, str(_without_symbols(inside, Path(source))), kind)
        for inside, source, kind in analysis.binaries
    ]


def _needed_by_us(binaries: list[Entry]) -> set[str]:
    """Paths of the modules, and of the libraries that only they load."""
    from PyInstaller.depend.bindepend import get_imports

    beside = {inside: source for inside, source, _ in binaries if "/" not in inside}
    found = {
        inside
        for inside, source, _ in binaries
        if not inside.startswith(GTK_IS_THE_SYSTEMS) and ("/" in inside or _ours(source))
    }
    # GTK's own modules load GTK's libraries; the libraries of all other modules are bundled.
    waiting = [
        source
        for inside, source, _ in binaries
        if inside in found and not inside.startswith(("gi/", "cairo/"))
    ]
    while waiting:
        for library, _ in get_imports(waiting.pop()):
            new = library in beside and library not in found
            if new and not library.startswith(THE_SYSTEMS_TOO):
                found.add(library)
                waiting.append(beside[library])
    return found


def _without_symbols(inside: str, library: Path) -> Path:
    """Strips a library: some are three times as large as they need to be."""
    # NumPy's libraries were modified after linking, and `strip` would break them. A prebuilt
    # llama.cpp has hardly any symbols, and stays as it was when it was verified.
    kept = (
        inside.startswith(("numpy", "pypdfium2_raw")) or prebuilt.origin(library.parent) is not None
    )
    if sys.platform != "linux" or kept or not _ours(str(library)):
        return library
    lighter = BUILD / "light" / inside
    lighter.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["strip", "--strip-unneeded", "-o", lighter, library], check=True)
    _origins[str(lighter)] = library
    return lighter


def _ours(source: str) -> bool:
    return Path(source).is_relative_to(SITE) or Path(source).is_relative_to(sys.base_prefix)


def inventory(analysis: Any) -> list[Entry]:
    """The SBOM and the licences of everything in the build."""
    found: list[Entry] = [*analysis.pure, *analysis.binaries, *analysis.datas]
    folder = BUILD / "contents"
    sources = [_origins.get(source, Path(source)) for _, source, _ in found if source]
    contents.write(folder, sources, ROOT / "ui")
    return [
        (str(file.relative_to(folder)), str(file), "DATA")
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]


def icon() -> str | None:
    """The executable's icon, on systems where executables have one."""
    return str(ROOT / "packaging/icons/icon.ico") if sys.platform == "win32" else None
