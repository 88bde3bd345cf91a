"""Source archives from PyPI, for the test inputs in them; the repository has no copy of them."""

import functools
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def downloaded(lock: str, folder: str, *options: str) -> Path:
    """The archive of the one package in a lock file: downloaded once into `build/folder`, and
    compared with the lock file's hash by pip, which `options` are for."""
    requirements = ROOT / "requirements" / lock
    pinned = re.search(r"^(\S+)==(\S+)", requirements.read_text("utf-8"), re.MULTILINE)
    assert pinned
    package, version = pinned.groups()
    target = ROOT / "build" / folder
    file = target / f"{package.replace('-', '_')}-{version}.tar.gz"
    if not file.exists():
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
        command += ["--no-deps", "--no-binary", package, "--dest", str(target), *options]
        command += ["--require-hashes", "-r", str(requirements)]
        subprocess.run(command, check=True)
    return file


def texts(archive: Path, folder: str, ending: str) -> dict[str, str]:
    """Texts of the files directly in a folder with this suffix, by name.

    They are cached beside the archive: reading all of it takes half a second.

    Args:
        folder: with slashes at both ends, as it is in the archive's only folder.
    """
    kept = archive.with_name(f"{archive.name}{folder.replace('/', '.')}{ending}.json")
    if kept.exists():
        return dict(json.loads(kept.read_bytes()))
    found = {}
    with tarfile.open(archive) as packed:
        for member in packed:
            parent, _, name = member.name.rpartition("/")
            if f"{parent}/".endswith(folder) and name.endswith(ending) and member.isfile():
                stream = packed.extractfile(member)
                assert stream
                found[name] = stream.read().decode("utf-8")
    part = kept.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(found))
    part.replace(kept)
    return found


def content(archive: Path, inside: str) -> bytes:
    """One file of an archive, by its path from the archive's only folder on; cached like texts."""
    kept = archive.with_name(f"{archive.name}{inside.replace('/', '.')}")
    if kept.exists():
        return kept.read_bytes()
    with tarfile.open(archive) as packed:
        member = next(it for it in packed if it.name.endswith(inside) and it.isfile())
        stream = packed.extractfile(member)
        assert stream
        found = stream.read()
    part = kept.with_suffix(f".{os.getpid()}")
    part.write_bytes(found)
    part.replace(kept)
    return found
