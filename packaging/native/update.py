"""Updates llama.cpp: the libraries of every system, and the bindings.

    python -m native.update [PACKAGES [BINDINGS]]       versions; by default the newest

Nothing is written unless both have the same interface, as far as the appliance uses it: their
headers' declarations are compared, and each system's libraries are checked for the functions. Then
both are installed, and `interface.json` is written again. Needs git and the development tools.
"""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from native import header, install, prebuilt, relied_on, source, symbols
from native.compiled import LOCKS
from native.prebuilt import Pin

LOCK = LOCKS / "llama.txt"
DESCRIBE = "from native.relied_on import main; main()"


def version_key(version: str) -> tuple[int, ...]:
    """The sort key of a version."""
    return tuple(int(part) for part in version.split("."))


def newest_of_all(listed: Iterable[list[str]], wanted: str) -> str:
    """The newest version that every package of a system has, without pre-releases.

    Args:
        listed: the versions of each package.
        wanted: only this version; empty: the newest.

    Raises:
        SystemExit: there is none.
    """
    common = set.intersection(*map(set, listed))
    found = [one for one in common if re.fullmatch(r"\d+(\.\d+)*", one) and wanted in ("", one)]
    if not found:
        raise SystemExit(f"No version {wanted or ''} is there of every package of one system.")
    return max(found, key=version_key)


def chosen(pins: dict[str, Pin], wanted: str, npm: list[str]) -> dict[str, str]:
    """The version for each entry. A system's add-ons have the same version as its libraries; a
    system for which the wanted version is not available keeps its current one."""
    listed = {system: _versions(pin.package, npm) for system, pin in pins.items()}
    found = {}
    for system, pin in pins.items():
        group = [of for name, of in listed.items() if _of_one_system(name, system)]
        try:
            found[system] = newest_of_all(group, wanted)
        except SystemExit as ex:
            print(f"{system}: {ex} It stays at {pin.version}.")
            found[system] = pin.version
    return found


def _of_one_system(one: str, other: str) -> bool:
    return one.split("-")[:2] == other.split("-")[:2]


def _versions(package: str, npm: list[str]) -> list[str]:
    output = subprocess.run(
        [*npm, "view", package, "versions", "--json"], capture_output=True, text=True, check=True
    ).stdout
    found: list[str] | str = json.loads(output)
    return [found] if isinstance(found, str) else found


def library_header(version: str, scratch: Path, npm: list[str]) -> header.Header:
    """The declarations of a version of the libraries."""
    packed = prebuilt.fetch(f"{source.pin().package}@{version}", scratch, npm)
    folder = scratch / f"source-{version}"
    source.check_out(packed, folder, header.FOLDERS)
    return header.read(folder)


def bindings_source(version: str, scratch: Path) -> Path:
    """The archive of llama-cpp-python's source."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    command += ["--no-deps", "--no-cache-dir", "--no-build-isolation"]
    command += ["--no-binary", "llama-cpp-python", "--dest", str(scratch)]
    command.append("llama-cpp-python" + (f"=={version}" if version else ""))
    subprocess.run(command, check=True)
    (found,) = scratch.glob("llama_cpp_python-*.tar.gz")
    return found


def bindings_header(packed: Path, scratch: Path) -> header.Header:
    """The declarations that the bindings were written for."""
    folder = scratch / "bindings"
    with tarfile.open(packed) as archive:
        for member in archive:
            _, _, inside = member.name.partition("/vendor/llama.cpp/")
            stream = archive.extractfile(member) if inside.startswith(header.FOLDERS) else None
            if stream is not None:
                file = folder / inside
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(stream.read())
    return header.read(folder)


def locked(lock: str, packed: Path) -> str:
    """The lock's text with the version and the hash of this archive."""
    version = packed.name.removeprefix("llama_cpp_python-").removesuffix(".tar.gz")
    text = re.sub(r"(?m)^llama-cpp-python==\S+", f"llama-cpp-python=={version}", lock)
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    return re.sub(r"--hash=sha256:\w+", f"--hash=sha256:{digest}", text)


def faults(
    new: dict[str, Pin], archives: dict[str, Path], packed: Path, npm: list[str]
) -> list[str]:
    """Reasons not to update to these versions, a sentence each."""
    functions, constants = relied_on.functions(), relied_on.constants()
    found = [
        f"{system}: {sentence}"
        for system, file in archives.items()
        for sentence in symbols.faults(file, system, functions)
    ]
    scratch = packed.parent
    bindings = bindings_header(packed, scratch)
    for version in sorted({pin.version for pin in new.values()}):
        library = library_header(version, scratch, npm)
        differ = header.differences(bindings, library, functions, constants)
        print(
            f"{source.pin().package} {version} and {packed.name}: {len(differ) or 'no'} differences"
        )
        found += [f"{version}: {sentence}" for sentence in differ]
    return found


def changes(old: str, new: str) -> list[str]:
    """The differences between two descriptions of the interface, a sentence each."""
    before, after = (_flat(json.loads(text)) for text in (old, new))
    return [
        f"{name}: {after.get(name, 'gone')}, before {before.get(name, 'not there')}"
        for name in sorted(before | after)
        if before.get(name) != after.get(name)
    ]


def _flat(description: dict[str, object], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in description.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            found |= {f"{prefix}{one}": "there" for one in value}
        else:
            found[f"{prefix}{name}"] = repr(value)
    return found


def main() -> None:
    """Updates everything that can be updated, and prints old versions and differences."""
    packages, bindings = (*sys.argv[1:3], "", "")[:2]
    npm = prebuilt.npm_command()
    from appliance.worker.runners.llama_cpp.native import interface

    description = interface.DESCRIPTION.read_text("utf-8")
    old = prebuilt.pins()
    versions = chosen(old, packages, npm)
    with tempfile.TemporaryDirectory(prefix="llama-update-") as folder:
        scratch = Path(folder)
        packed = bindings_source(bindings, scratch)
        new, archives = {}, {}
        for system, pin in old.items():
            new[system], archives[system] = _pinned(pin.package, versions[system], scratch, npm)
            was = "as before" if new[system] == pin else f"before {pin.version}"
            print(f"{system}: {pin.package} {versions[system]}, {was}", flush=True)
        if found := faults(new, archives, packed, npm):
            raise SystemExit("\n".join([*found, "Nothing is changed."]))
        lock = locked(LOCK.read_text("utf-8"), packed)
        of, _ = _pinned(source.pin().package, versions[prebuilt.this_system()], scratch, npm)
    pins = _written(new)
    kept = [(file, file.read_text("utf-8")) for file in (prebuilt.LOCK, source.LOCK, LOCK)]
    try:
        prebuilt.LOCK.write_text(pins, "utf-8")
        source.LOCK.write_text(_written(of), "utf-8")
        LOCK.write_text(lock, "utf-8")
        install.install(hold=_describe)
    except BaseException:
        for file, text in kept:
            file.write_text(text, "utf-8")
        raise
    after = changes(description, interface.DESCRIPTION.read_text("utf-8"))
    print(*(after or ["What the appliance relies on is as before."]), sep="\n")


def _pinned(package: str, version: str, scratch: Path, npm: list[str]) -> tuple[Pin, Path]:
    file = prebuilt.fetch(f"{package}@{version}", scratch, npm)
    return Pin(package, version, prebuilt.integrity(file), file.stat().st_size), file


def _written(what: Pin | dict[str, Pin]) -> str:
    return msgspec.json.format(msgspec.json.encode(what), indent=2).decode() + "\n"


def _describe(modules: Path, made: Path) -> None:
    if install.run(DESCRIBE, modules, made) != 0:
        raise SystemExit("What the appliance relies on could not be written down.")


if __name__ == "__main__":
    main()
