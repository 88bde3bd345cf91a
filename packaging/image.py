"""Makes a container image from the frozen server.

    python packaging/image.py [--in FOLDER]      FOLDER/appliance-image-amd64.tar; `dist` if none

The archive is an OCI image layout, which Podman, skopeo, containerd and others accept, plus the one
file that `docker load` needs. It has two layers: a small Debian, and the appliance. No daemon or
image tool is used: buildah leaves the health check, a Docker extension, out of an OCI image, and
umoci does not support it.

Needs the Debian package mmdebstrap; for another processor also qemu-user-static.
"""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import debian
import packages

BUILD = packages.ROOT / "build" / "image"
USER = 10001
"""Numeric, so that a runtime can check that it is not root without looking into the image."""
DATA = "/data"
PROGRAM = "/usr/bin/appliance"
BASE = (
    *("ca-certificates", "libvulkan1"),
    "tini",  # reaps orphaned processes, which PID 1 has to do
)
NOT_IN_IT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
FINISH = (
    f"echo 'appliance:x:{USER}:{USER}::{DATA}:/usr/sbin/nologin' >>etc/passwd",
    f"echo 'appliance:x:{USER}:' >>etc/group",
    f"install -d -m 0700 -o {USER} -g {USER} .{DATA}",
    # The package sources are private to the build; the container runtime provides the other files.
    "rm -f etc/apt/sources.list etc/hostname etc/resolv.conf",
)
OPTIONS = (
    *(f"--dpkgopt=path-exclude={path}" for path in NOT_IN_IT),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    *(f'--customize-hook=cd "$1" && {command}' for command in FINISH),
)
SETTINGS = {
    "PATH": debian.PATH,
    "HOME": DATA,
    "XDG_CACHE_HOME": f"{DATA}/cache",
    "XDG_CONFIG_HOME": "/etc",
    "APPLIANCE_DATA_DIR": DATA,
    "APPLIANCE_SERVER_HOST": "0.0.0.0",
    "APPLIANCE_SECURITY_VAULT": "file",
    # The host's name can't be known here; API keys are required.
    "APPLIANCE_SECURITY_ALLOWED_HOSTS": "*",
    # Docker and Podman wait ten seconds before they kill. The rest of that time is for streams to
    # report their end, for states to be saved, and a margin for a busy machine.
    "APPLIANCE_SERVER_SHUTDOWN_GRACE_SECONDS": "3",
}
SECOND = 1_000_000_000
OCI = "application/vnd.oci.image"


def config(architecture: str, layers: list[str], date: str) -> dict[str, Any]:
    """The image configuration.

    Args:
        layers: SHA-256 of each layer before compression.
        date: RFC 3339.
    """
    return {
        "created": date,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": f"{USER}:{USER}",
            "ExposedPorts": {"3000/tcp": {}},
            "Env": [f"{name}={value}" for name, value in SETTINGS.items()],
            "Entrypoint": ["/usr/bin/tini", "--", PROGRAM],
            "Cmd": ["serve"],
            "Volumes": {DATA: {}},
            "WorkingDir": DATA,
            "StopSignal": "SIGTERM",
            "Healthcheck": {
                "Test": ["CMD", PROGRAM, "health"],
                "Interval": 30 * SECOND,
                "Timeout": 10 * SECOND,
                "StartPeriod": 60 * SECOND,
                "Retries": 3,
            },
            "Labels": {
                "org.opencontainers.image.title": "appliance",
                "org.opencontainers.image.version": packages.version(),
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{one}" for one in layers]},
        "history": [
            {"created": date, "created_by": "mmdebstrap"},
            {"created": date, "created_by": "make image"},
        ],
    }


class Layout:
    """A folder that becomes the archive."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)

    def add(self, content: bytes) -> dict[str, Any]:
        """Adds a document; its descriptor, without the media type."""
        digest = hashlib.sha256(content).hexdigest()
        (self._blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    def add_layer(self, write: Callable[[BinaryIO], None]) -> tuple[dict[str, Any], str]:
        """Adds what `write` writes, a tar archive; its descriptor, and its SHA-256 before
        compression."""
        part = self._blobs / "part"
        with part.open("wb") as out, gzip.GzipFile("", "wb", 6, out, mtime=0) as packed:
            plain = Digest(packed)
            write(cast(BinaryIO, plain))
        with part.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = part.stat().st_size
        part.rename(self._blobs / digest)
        pointer = {"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": f"sha256:{digest}"}
        return {**pointer, "size": size}, plain.digest

    def write(self, target: Path, name: str, architecture: str, manifest: dict[str, Any]) -> None:
        """Writes everything as an archive."""
        pointer = self.add(_json(manifest))
        index = {
            "mediaType": f"{OCI}.manifest.v1+json",
            **pointer,
            "platform": {"os": "linux", "architecture": architecture},
            "annotations": {"org.opencontainers.image.ref.name": name},
        }
        self._document("oci-layout", {"imageLayoutVersion": "1.0.0"})
        self._document("index.json", {"schemaVersion": 2, "manifests": [index]})
        docker = {
            "Config": _place(manifest["config"]),
            "RepoTags": [name],
            "Layers": [_place(layer) for layer in manifest["layers"]],
        }
        self._document("manifest.json", [docker])
        with tarfile.open(target, "w") as archive:
            for file in sorted(self._folder.rglob("*")):
                archive.add(file, str(file.relative_to(self._folder)), False, filter=_plain)

    def _document(self, name: str, content: object) -> None:
        (self._folder / name).write_bytes(_json(content))


class Digest:
    """A stream that computes the SHA-256 of what is written to it."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._sum = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self._sum.update(content)
        return self._stream.write(content)

    @property
    def digest(self) -> str:
        return self._sum.hexdigest()


def _place(pointer: dict[str, Any]) -> str:
    return "blobs/" + str(pointer["digest"]).replace(":", "/")


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owned by root, and dated by the commit, so that builds are reproducible."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = packages.moment()
    return member


def write_program(frozen: Path, out: BinaryIO) -> None:
    """Writes the layer with the appliance, in the same place as its packages."""
    with tarfile.open(fileobj=out, mode="w|") as tar:
        tar.add(frozen, "usr/lib/appliance", filter=_plain)
        link = tarfile.TarInfo(PROGRAM.lstrip("/"))
        link.type, link.linkname = tarfile.SYMTYPE, "../lib/appliance/appliance"
        tar.addfile(_plain(link))


def make_base(frozen: Path, architecture: str) -> Path:
    """A small Debian with the packages that the appliance needs; kept until `make clean`."""
    floor = packages.glibc_floor(frozen)
    needed, _ = packages.depends("server", frozen, floor)
    names = sorted({*BASE, *(one.split()[0] for one in needed)})
    key = hashlib.sha256(" ".join([*names, *OPTIONS]).encode()).hexdigest()[:8]
    base = BUILD / f"debian-{architecture}-{key}.tar"
    if not base.exists():
        os.environ["SOURCE_DATE_EPOCH"] = str(packages.moment())
        debian.make(base, names, architecture=architecture, variant="essential", options=OPTIONS)
    return base


def main() -> None:
    """Makes the image from the folder's frozen server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--in", dest="dist", type=Path, default=packages.DIST, metavar="FOLDER")
    dist = parser.parse_args().dist.resolve()
    frozen = dist / "appliance-server"
    if not (frozen / "appliance").is_file():
        raise SystemExit(f"{frozen} is missing: run `make frozen-server` first.")
    packages.set_modes(frozen)
    architecture = debian.DEBIAN[packages.machine_of(frozen / "appliance")]
    base = make_base(frozen, architecture)
    target = dist / f"appliance-image-{architecture}.tar"
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        layout = Layout(Path(scratch, "layout"))
        with base.open("rb") as content:
            system, plain_system = layout.add_layer(lambda out: shutil.copyfileobj(content, out))
        program, plain_program = layout.add_layer(lambda out: write_program(frozen, out))
        date = packages.iso(packages.moment())
        described = config(architecture, [plain_system, plain_program], date)
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": {"mediaType": f"{OCI}.config.v1+json", **layout.add(_json(described))},
            "layers": [system, program],
        }
        half = Path(scratch, target.name)
        layout.write(half, f"appliance:{packages.version()}", architecture, manifest)
        half.replace(target)
    print(f"{target.stat().st_size / 1e6:8.1f} MB  {target.relative_to(packages.ROOT)}")


if __name__ == "__main__":
    main()
