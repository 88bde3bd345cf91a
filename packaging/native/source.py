"""The source that the prebuilt llama.cpp was compiled from, in npm's package `node-llama-cpp`.

`source.json` pins the package, which has the source as a git bundle. Needs git.
"""

import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from native.prebuilt import Pin

LOCK = Path(__file__).with_name("source.json")
BUNDLE = "package/llama/gitRelease.bundle"


def pin() -> Pin:
    """The package's pin."""
    return msgspec.json.decode(LOCK.read_bytes(), type=Pin)


def check_out(packed: Path, tree: Path, paths: Iterable[str]) -> None:
    """Puts files and folders of the source into `tree`, which is created.

    Args:
        packed: the package's archive.

    Raises:
        SystemExit: it does not have the source.
    """
    tree.mkdir()
    bundle = tree / "bundle"
    with tarfile.open(packed) as archive:
        stream = archive.extractfile(BUNDLE) if BUNDLE in archive.getnames() else None
        if stream is None:
            raise SystemExit(f"{packed.name} has no {BUNDLE}.")
        bundle.write_bytes(stream.read())
    git = ["git", "-C", str(tree)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "fetch", "--quiet", str(bundle), "HEAD"], check=True)
    subprocess.run([*git, "checkout", "--quiet", "FETCH_HEAD", "--", *paths], check=True)
