"""What goes into a frozen build, asked by `appliance.spec`.

PyInstaller follows imports by itself. Here is what it can't see – the page, the model, libraries
that are loaded by name – and what it would take along too much.
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
"""Where in the folder, where from, and PyInstaller's word for its kind."""

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
NEVER = ["tkinter", "_tkinter", "readline", "numpy.f2py", "numpy.testing"]
"""Parts of what is needed that are not."""
LOCKS_OF_THE_PROGRAM = ("run.txt", "window.txt", "model.txt", "llama.txt")
GTK_IS_THE_SYSTEMS = ("share/", "gi_typelibs/", "lib/gdk-pixbuf", "lib/gtk-3.0", "gio_modules")
"""Of another distribution's GTK nothing fits the one on the machine that runs this."""
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
"""What GTK and WebKit load as well. Those of the machine may be newer than ours, and in one process
the first one that is found has to serve both."""
OF_A_DRIVER = ("libvulkan", "libcuda.", "vulkan-1")
"""They come with the driver of the machine that this runs on, and fit that one."""


_origins: dict[str, Path] = {}
"""Where libraries without their symbols came from."""


def name(window: bool) -> str:
    """Of the folder below `dist/`."""
    return "appliance" if window else "appliance-server"


def datas() -> list[tuple[str, str]]:
    """Files, and the folders they go to."""
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
        # Whatever the package has beside its modules, it reads.
        *(
            (str(file), str(file.parent.relative_to(ROOT)))
            for file in sorted((ROOT / "appliance").rglob("*"))
            if file.is_file() and file.suffix not in {".py", ".pyc"}
        ),
    ]


def native_libraries() -> list[tuple[str, str]]:
    """llama.cpp with a backend for every processor, and what old model files need."""
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
            (str(file), f"ctransformers/lib/{file.parent.name}")
            for file in sorted(old.glob(f"*/*{ending}"))
            if runner.has_library() and file.parent.name != "cuda"
        ),
    ]


def hidden_imports(window: bool) -> list[str]:
    """What is imported by a name that only the running program knows."""
    return ["webview.platforms.gtk", "cairo", "gi"] if window and sys.platform == "linux" else []


def excluded(window: bool) -> list[str]:
    """What is here and not wanted."""
    qt = ["PySide6", "shiboken6", "qtpy"]
    return [*NEVER, *_not_the_programs(), *(qt if window else WINDOW_LIBRARIES)]


def _not_the_programs() -> list[str]:
    """Modules that are here for tests and tools; libraries use some where they find them."""
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
    """A distribution's name as locks write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def take_out(analysis: Any, window: bool) -> None:
    """Debugging symbols; what comes with drivers; and GTK with all that it needs, which comes from
    the system's packages."""
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
    """What is inside of the window's program: modules, and libraries that they alone load."""
    from PyInstaller.depend.bindepend import get_imports

    beside = {inside: source for inside, source, _ in binaries if "/" not in inside}
    found = {
        inside
        for inside, source, _ in binaries
        if not inside.startswith(GTK_IS_THE_SYSTEMS) and ("/" in inside or _ours(source))
    }
    # GTK's own modules name GTK's libraries; those of all others come along.
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
    """Some libraries are three times as large as they need be."""
    # NumPy's wheel was changed after it was linked, which `strip` does not bear. A ready-made
    # llama.cpp has next to none, and stays what it was when it was proven.
    kept = inside.startswith("numpy") or prebuilt.origin(library.parent) is not None
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
    """The list of everything inside, and the licences of all of it."""
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
    """The program's own picture, where programs have one."""
    return str(ROOT / "packaging/icons/icon.ico") if sys.platform == "win32" else None
