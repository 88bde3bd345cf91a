"""Makes `appliance-cuda`, a .deb and an .rpm, of the add-on that `make cuda` has fetched.

    python packaging/cuda_package.py

It lies in a folder of its own, where either of the appliance's packages looks for it, and goes with
packages of its very version: the backend is made for the llama.cpp that they hold.
"""

import json
import os
import shutil
import string
from pathlib import Path

from packages import (
    DIST,
    LINUX,
    ROOT,
    TREES,
    documents,
    glibc_floor,
    iso,
    libraries_outside,
    library_packages,
    moment,
    put,
    run_nfpm,
    set_modes,
    tell,
    version,
)

NAME = "appliance-cuda"
OURS = "libggml-base.so"
"""What the backend needs, and the program that loads it has."""


def lay_out() -> Path:
    """The files as they will lie below `/`.

    Raises:
        SystemExit: the add-on is not here, or does not fit.
    """
    from appliance.system import llama_libraries

    addons = llama_libraries.addons()
    if not addons:
        raise SystemExit("The add-on is not here: make cuda")
    tree = TREES / NAME
    shutil.rmtree(tree, ignore_errors=True)
    # Links to the same files: nothing is copied before it is packed.
    shutil.copytree(addons[0], tree / "usr/lib" / NAME, copy_function=os.link)
    folder = tree / "usr/share/doc" / NAME
    documents(folder, NAME)
    put(LINUX / "copyright-cuda", folder / "copyright")
    put(ROOT / "packaging/licences/llama.cpp.txt", folder / "llama.cpp-LICENSE.txt")
    return tree


def depends(tree: Path, floor: str) -> tuple[list[str], list[str]]:
    """What the .deb and the .rpm depend on."""
    deb, rpm = library_packages(libraries_outside(tree) - {OURS})
    exact = f"{version()}-1"
    return (
        [
            f"appliance-server (= {exact}) | appliance (= {exact})",
            f"libc6 (>= {floor})",
            *deb,
        ],
        [
            f"(appliance-server = {exact} or appliance = {exact})",
            f"glibc >= {floor}",
            *rpm,
        ],
    )


def main() -> None:
    """Makes both."""
    TREES.mkdir(parents=True, exist_ok=True)
    tree = lay_out()
    set_modes(tree)
    floor = glibc_floor(tree)
    deb_depends, rpm_depends = depends(tree, floor)
    recipe = string.Template((ROOT / "packaging/nfpm-cuda.yaml").read_text("utf-8"))
    filled = recipe.substitute(
        version=version(),
        mtime=f'"{iso(moment())}"',
        tree=json.dumps(str(tree)),
        deb_depends=", ".join(map(json.dumps, deb_depends)),
        rpm_depends=", ".join(map(json.dumps, rpm_depends)),
    )
    tell(run_nfpm(TREES / f"{NAME}.yaml", filled, DIST), DIST)


if __name__ == "__main__":
    main()
