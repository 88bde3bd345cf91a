"""Makes `appliance-cuda`, a .deb and an .rpm, from the add-on that `make cuda` has fetched.

    python packaging/cuda_package.py

It is installed into a folder of its own, where both of the appliance's packages look for it, and
requires a package of exactly its version: the backend is built for the llama.cpp in there.
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
    report,
    run_nfpm,
    set_modes,
    version,
)

NAME = "appliance-cuda"
OURS = "libggml-base.so"
"""A library that the backend needs, and that the program which loads it provides."""


def lay_out() -> Path:
    """The files as they will be installed below `/`.

    Raises:
        SystemExit: the add-on is missing, or does not match this llama.cpp.
    """
    from appliance.system import llama_libraries

    addons = llama_libraries.addons()
    if not addons:
        raise SystemExit("The add-on is missing: run `make cuda` first.")
    tree = TREES / NAME
    shutil.rmtree(tree, ignore_errors=True)
    # Hard links: nothing is copied before it is packed.
    shutil.copytree(addons[0], tree / "usr/lib" / NAME, copy_function=os.link)
    folder = tree / "usr/share/doc" / NAME
    documents(folder, NAME)
    put(LINUX / "copyright-cuda", folder / "copyright")
    put(ROOT / "packaging/licences/llama.cpp.txt", folder / "llama.cpp-LICENSE.txt")
    return tree


def depends(tree: Path, floor: str) -> tuple[list[str], list[str]]:
    """Dependencies of the .deb and of the .rpm."""
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
    """Makes both packages."""
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
    report(run_nfpm(TREES / f"{NAME}.yaml", filled, DIST), DIST)


if __name__ == "__main__":
    main()
