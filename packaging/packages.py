"""Makes the packages for Linux from the frozen folders.

    python packaging/packages.py [server] [desktop] [--in FOLDER]      both if none is named

`dist/`, or FOLDER, has the frozen folders, for any processor; it gets a .deb, an .rpm and a .tar.gz
of each, and `SHA256SUMS`. The version is that of the source; `VERSION` in the environment overrides
it, for testing an upgrade.
"""

import argparse
import functools
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import string
import subprocess
import sys
import tarfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from appliance.system.cpu import processor
from debian import DEBIAN

ROOT = Path(__file__).resolve().parent.parent
LINUX = ROOT / "packaging" / "linux"
DIST = ROOT / "dist"
TREES = ROOT / "build" / "packages"
SYMBOL = re.compile(r"\bGLIBC_(\d+(?:\.\d+)+)\b")
NEEDED = re.compile(r"^\s+NEEDED\s+(\S+)$", re.MULTILINE)
ELF_MACHINES = {62: "x86_64", 183: "aarch64"}
"""Linux's names of architectures by their numbers in ELF headers."""
AR_BEGIN = b"!<arch>\n"
AR_HEADER = 60
"""Bytes before each part of a .deb: name (16), owner and mode (32), size (10), and an end (2)."""
APP_ID = "org.appliance.Appliance"

WORDS = {
    "server": {
        "name": "appliance-server",
        "other": "appliance",
        "summary": "language models on this machine, as a service",
        "which": "This package is the service, for a machine without a screen or for a LAN.",
        "deb_recommends": "libvulkan1",
    },
    "desktop": {
        "name": "appliance",
        "other": "appliance-server",
        "summary": "language models on this machine, in a window",
        "which": "This package is the window, for a person at this machine.",
        "deb_recommends": "gnome-keyring, libvulkan1",
    },
}
GTK = {"deb": ["gir1.2-webkit2-4.1"], "rpm": ["webkit2gtk4.1"]}
C_LIBRARY = ("libc.", "libm.", "libdl.", "libpthread.", "librt.", "libutil.", "ld-linux")
DRIVERS = ("libcuda.", "libvulkan.")
"""Libraries that only some machines have; a backend that needs one is loaded only there."""
LIBRARIES = {
    "libcairo-gobject.so.2": ("libcairo-gobject2", "cairo-gobject"),
    "libcairo.so.2": ("libcairo2", "cairo"),
    "libcrypto.so.3": ("libssl3 | libssl3t64", "openssl-libs"),
    "libffi.so.8": ("libffi8", "libffi"),
    "libgcc_s.so.1": ("libgcc-s1", "libgcc"),
    "libgirepository-1.0.so.1": ("libgirepository-1.0-1", "gobject-introspection"),
    "libglib-2.0.so.0": ("libglib2.0-0 | libglib2.0-0t64", "glib2"),
    "libgobject-2.0.so.0": ("libglib2.0-0 | libglib2.0-0t64", "glib2"),
    "liblzma.so.5": ("liblzma5", "xz-libs"),
    "libssl.so.3": ("libssl3 | libssl3t64", "openssl-libs"),
    "libstdc++.so.6": ("libstdc++6", "libstdc++"),
    "libuuid.so.1": ("libuuid1", "libuuid"),
    "libz.so.1": ("zlib1g", "zlib"),
}
"""The packages that provide a library: Debian's, and Fedora's."""


def version() -> str:
    """The version of the packages."""
    text = (ROOT / "appliance" / "__init__.py").read_text("utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    assert found
    return os.environ.get("VERSION") or found[1]


@functools.cache
def moment() -> int:
    """Unix time of the last commit, which every file in a package gets."""
    result = subprocess.run(
        ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(result.stdout)


def glibc_floor(folder: Path) -> str:
    """The oldest C library that every program and library in `folder` runs with.

    Raises:
        SystemExit: none of them needs one, so something was overlooked.
    """
    found: set[tuple[int, ...]] = set()
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink() and _is_elf(file):
            output = subprocess.run(
                ["objdump", "-T", str(file)], capture_output=True, text=True, check=True
            ).stdout
            found |= {tuple(map(int, one.split("."))) for one in SYMBOL.findall(output)}
    if not found:
        raise SystemExit(f"{folder} has no program that needs a C library")
    return ".".join(map(str, max(found)))


def libraries_outside(folder: Path) -> set[str]:
    """The libraries, besides C's and drivers, that programs in `folder` load from the system."""
    files = [one for one in folder.rglob("*") if one.is_file() and not one.is_symlink()]
    inside = {one.name for one in files}
    found: set[str] = set()
    for file in filter(_is_elf, files):
        output = subprocess.run(
            ["objdump", "-p", str(file)], capture_output=True, text=True, check=True
        ).stdout
        needed = set(NEEDED.findall(output))
        # The main program starts before it has set the path to the libraries beside it.
        found |= needed if _is_program(file) else needed - inside
    return {one for one in found if not one.startswith((*C_LIBRARY, *DRIVERS))}


def depends(kind: str, tree: Path, floor: str) -> tuple[list[str], list[str]]:
    """Dependencies of the .deb and of the .rpm.

    Raises:
        SystemExit: no package is known for a library.
    """
    deb, rpm = library_packages(libraries_outside(tree))
    gtk = GTK if kind == "desktop" else {"deb": [], "rpm": []}
    return (
        [f"libc6 (>= {floor})", *gtk["deb"], *deb],
        [f"glibc >= {floor}", *gtk["rpm"], *rpm],
    )


def library_packages(needed: set[str]) -> tuple[list[str], list[str]]:
    """The packages that provide these libraries, for the .deb and for the .rpm.

    Raises:
        SystemExit: no package is known for one of them.
    """
    if unknown := sorted(needed - LIBRARIES.keys()):
        raise SystemExit(f"No package is known that provides {', '.join(unknown)}")
    deb, rpm = ({LIBRARIES[one][side] for one in needed} for side in (0, 1))
    return sorted(deb), sorted(rpm)


def machine_of(program: Path) -> str:
    """Linux's name of the architecture that a program is for.

    Raises:
        SystemExit: no packages are made for it.
    """
    with program.open("rb") as content:
        number = int.from_bytes(content.read(20)[18:], "little")
    if number not in ELF_MACHINES:
        raise SystemExit(f"{program} is for an unsupported processor (ELF machine {number})")
    return ELF_MACHINES[number]


def lay_out(kind: str, dist: Path) -> Path:
    """The files of a package as they will be installed below `/`, without /etc."""
    words = WORDS[kind]
    frozen = dist / ("appliance" if kind == "desktop" else "appliance-server")
    if not (frozen / "appliance").is_file():
        raise SystemExit(f"{frozen} is missing: run `make frozen` or `make frozen-server` first.")
    tree = TREES / machine_of(frozen / "appliance") / words["name"]
    shutil.rmtree(tree, ignore_errors=True)
    # Hard links: nothing is copied before it is packed.
    shutil.copytree(frozen, tree / "usr/lib/appliance", symlinks=True, copy_function=os.link)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/appliance").symlink_to("../lib/appliance/appliance")
    put_gzip(LINUX / "appliance.1", tree / "usr/share/man/man1/appliance.1.gz")
    completions(tree)
    documents(tree / "usr/share/doc" / words["name"], words["name"])
    if kind == "server":
        put(ROOT / "systemd/appliance.service", tree / "usr/lib/systemd/system/appliance.service")
        put(LINUX / "sysusers.conf", tree / "usr/lib/sysusers.d/appliance.conf")
    else:
        put(LINUX / f"{APP_ID}.desktop", tree / f"usr/share/applications/{APP_ID}.desktop")
        put(LINUX / f"{APP_ID}.metainfo.xml", tree / f"usr/share/metainfo/{APP_ID}.metainfo.xml")
        icons = tree / "usr/share/icons/hicolor"
        put(ROOT / "packaging/icons/icon.svg", icons / f"scalable/apps/{APP_ID}.svg")
        for size in (16, 32, 48, 64, 128, 256, 512):
            picture = ROOT / f"packaging/icons/icon-{size}.png"
            put(picture, icons / f"{size}x{size}/apps/{APP_ID}.png")
    return tree


def completions(tree: Path) -> None:
    """Writes the shell completions that the program generates: this environment's, since the frozen
    one may be for another processor."""
    program = Path(sys.executable).with_name("appliance")
    places = {
        "bash": "usr/share/bash-completion/completions/appliance",
        "zsh": "usr/share/zsh/vendor-completions/_appliance",
        "fish": "usr/share/fish/vendor_completions.d/appliance.fish",
    }
    for shell, place in places.items():
        output = subprocess.run(
            [str(program)],
            env={"PATH": os.environ["PATH"], "_APPLIANCE_COMPLETE": f"{shell}_source"},
            capture_output=True,
            check=True,
        ).stdout
        file = tree / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(output)


def documents(folder: Path, name: str) -> None:
    put(ROOT / "README.md", folder / "README.md")
    notice = LINUX / "copyright"
    put(notice, folder / "copyright")
    changes = (LINUX / "changelog").read_text("utf-8")
    filled = string.Template(changes).substitute(name=name, version=f"{version()}-1")
    write_gzip(filled.encode(), folder / "changelog.Debian.gz")


def put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def put_gzip(source: Path, target: Path) -> None:
    write_gzip(source.read_bytes(), target)


def write_gzip(content: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without a date in the file, the same content always gives the same file.
    target.write_bytes(gzip.compress(content, 9, mtime=0))


def set_modes(tree: Path) -> None:
    """Sets modes whatever the umask was: 755 for folders and programs, 644 for the rest."""
    for path in tree.rglob("*"):
        if not path.is_symlink():
            runs = path.is_dir() or (os.access(path, os.X_OK) and _is_program(path))
            path.chmod(0o755 if runs else 0o644)


def _is_program(path: Path) -> bool:
    return _is_elf(path) and ".so" not in path.name


def _is_elf(path: Path) -> bool:
    with path.open("rb") as content:
        return content.read(4) == b"\x7fELF"


def nfpm(kind: str, tree: Path, floor: str, dist: Path) -> list[Path]:
    """Pack `tree` as .deb and .rpm."""
    machine = machine_of(tree / "usr/lib/appliance/appliance")
    words = WORDS[kind]
    deb_depends, rpm_depends = depends(kind, tree, floor)
    scripts = {
        "postinstall": str(LINUX / "postinst"),
        "preremove": str(LINUX / "prerm"),
        "postremove": str(LINUX / "postrm"),
    }
    filled = string.Template((ROOT / "packaging/nfpm.yaml").read_text("utf-8")).substitute(
        words,
        arch=DEBIAN[machine],
        version=version(),
        mtime=f'"{iso(moment())}"',
        tree=json.dumps(str(tree)),
        overrides=json.dumps(str(LINUX / f"{words['name']}.lintian-overrides")),
        scripts=json.dumps(scripts if kind == "server" else {}),
        deb_depends=", ".join(deb_depends),
        rpm_depends=", ".join(rpm_depends),
    )
    return run_nfpm(tree.with_name(f"{words['name']}.yaml"), filled, dist)


def run_nfpm(recipe: Path, filled: str, dist: Path) -> list[Path]:
    """Pack as .deb and .rpm by a recipe, which is written first.

    Raises:
        SystemExit: nfpm failed; the message has its output.
    """
    dist.mkdir(exist_ok=True)  # nfpm would take it for a file
    recipe.write_text(filled, encoding="utf-8")
    made = []
    for packager in ("deb", "rpm"):
        command = [Path(sys.executable).with_name("nfpm"), "package", "--config", recipe]
        command += ["--packager", packager, "--target", dist]
        result = subprocess.run(
            list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise SystemExit(result.stdout + result.stderr)
        found = re.search(r"created package: (\S+)", result.stdout)
        assert found, result.stdout
        made.append(Path(found[1]))
        if packager == "deb":
            compress(made[-1])
    return made


def compress(package: Path) -> None:
    """Compress the files in a .deb with xz; nfpm itself takes several times as long."""
    parts = [AR_BEGIN]
    with package.open("rb") as packed:
        assert packed.read(len(AR_BEGIN)) == AR_BEGIN
        while header := packed.read(AR_HEADER):
            name, rest, size = header[:16], header[16:48], int(header[48:58])
            content = packed.read(size)
            packed.read(size % 2)
            if name.rstrip() == b"data.tar":
                name, content = b"data.tar.xz".ljust(16), lzma.compress(content)
            parts += [name, rest, str(len(content)).encode().ljust(10), header[58:], content]
            parts.append(b"\n" * (len(content) % 2))
    package.write_bytes(b"".join(parts))


def iso(seconds: int) -> str:
    """A time in the format of RFC 3339."""
    import datetime

    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def archive(kind: str, tree: Path, floor: str, dist: Path) -> list[Path]:
    """The same files for every other Linux, with a script that puts them in place."""
    machine = machine_of(tree / "usr/lib/appliance/appliance")
    name = f"{WORDS[kind]['name']}-{version()}-linux-{machine}"
    target = dist / f"{name}.tar.gz"
    install = string.Template((LINUX / "install.sh").read_text("utf-8"))
    script = tree.with_name(f"{WORDS[kind]['name']}-install.sh")
    script.write_text(install.safe_substitute(GLIBC_FLOOR=floor), encoding="utf-8")
    date = moment()

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = date
        return member

    with (
        target.open("wb") as out,
        gzip.GzipFile("", "wb", 6, out, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        script.chmod(0o755)
        tar.add(script, f"{name}/install.sh", filter=plain)
        tar.add(ROOT / "config.example.toml", f"{name}/config.example.toml", filter=plain)
        for path in sorted(tree.rglob("*")):
            member = f"{name}/{path.relative_to(tree)}"
            tar.add(path, member, recursive=False, filter=plain)
    return [target]


def main() -> None:
    """Makes the packages named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", metavar="server|desktop")
    parser.add_argument("--in", dest="dist", type=Path, default=DIST, metavar="FOLDER")
    chosen = parser.parse_args()
    dist = chosen.dist.resolve()
    if unknown := [kind for kind in chosen.kinds if kind not in WORDS]:
        parser.error(f"there is no package {unknown[0]}")
    # Compressing takes minutes, on one core each.
    with ThreadPoolExecutor(processor().threads) as pool:
        packing: list[Future[list[Path]]] = []
        for kind in chosen.kinds or WORDS:
            tree = lay_out(kind, dist)
            set_modes(tree)
            floor = glibc_floor(tree)
            print(f"{WORDS[kind]['name']}: needs glibc {floor}", flush=True)
            packing += [pool.submit(pack, kind, tree, floor, dist) for pack in (nfpm, archive)]
    report([file for one in packing for file in one.result()], dist)


def report(made: list[Path], dist: Path) -> None:
    """Prints what was made, and adds it to `SHA256SUMS`."""
    for file in made:
        print(f"{file.stat().st_size / 1e6:8.1f} MB  {file.relative_to(ROOT)}")
    place = dist / "SHA256SUMS"
    old = place.read_text(encoding="utf-8").splitlines() if place.exists() else []
    sums = {name: digest for digest, name in map(str.split, old) if (dist / name).exists()}
    sums |= {file.name: _sha256(file) for file in made}
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    place.write_text(lines, encoding="utf-8")


@functools.cache
def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    main()
