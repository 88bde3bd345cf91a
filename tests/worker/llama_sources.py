"""Files of llama.cpp, read from the source archive of the pinned llama-cpp-python; no copy is
stored here."""

import functools
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = ROOT / "build" / "llama-source"
INSIDE = "/vendor/llama.cpp/"


@functools.cache
def archive() -> Path:
    """Downloaded once, and compared with the lock file's hash by pip."""
    version = re.search(r"==(\S+)", (ROOT / "requirements" / "llama.txt").read_text("utf-8"))
    assert version
    name = f"llama_cpp_python-{version[1]}.tar.gz"
    if not (ARCHIVE / name).exists():
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
        command += ["--no-deps", "--no-build-isolation", "--no-binary", "llama-cpp-python"]
        command += ["--dest", str(ARCHIVE), "--require-hashes"]
        command += ["-r", str(ROOT / "requirements" / "llama.txt")]
        subprocess.run(command, check=True)
    return ARCHIVE / name


@functools.cache
def sources(folder: str, ending: str) -> dict[str, str]:
    """Texts of the files directly in a folder of llama.cpp with this suffix, by name.

    They are cached beside the archive: reading all of it takes half a second.
    """
    kept = ARCHIVE / f"{archive().name}.{folder.replace('/', '.')}.{ending}.json"
    if kept.exists():
        return dict(json.loads(kept.read_bytes()))
    found = {}
    with tarfile.open(archive()) as packed:
        for member in packed:
            _, _, path = member.name.partition(INSIDE)
            parent, _, name = path.rpartition("/")
            if parent == folder and name.endswith(ending) and member.isfile():
                stream = packed.extractfile(member)
                assert stream
                found[name] = stream.read().decode("utf-8")
    assert found, f"the archive has no {folder}/*{ending}"
    part = kept.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(found))
    part.replace(kept)
    return found
