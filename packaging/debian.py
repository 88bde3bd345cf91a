"""Debian systems in folders, of this machine's release and of any processor, and commands in them.

Debian packages: mmdebstrap; for another processor qemu-user-static, whose programs Linux starts by
itself once binfmt_misc has been told. Root is needed to be in one.
"""

import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
"""Debian's names of processors by Linux's."""
LINUX = {debian: linux for linux, debian in DEBIAN.items()}
BINFMT = Path("/proc/sys/fs/binfmt_misc")
BINFMT_SETTINGS = Path("/usr/lib/binfmt.d")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REACHES_REGISTRIES = (
    *("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"),
    *("/etc/pip.conf", "/etc/xdg/pip", "~/.config/pip", "~/.pip", "~/.npmrc"),
)
"""How this machine does; not all of it is on every machine."""
SAYS_HOW = (
    *("PIP_", "NPM_CONFIG_", "SSL_CERT_", "NODE_EXTRA_"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
"""Beginnings of variables for the same."""
_ENTER = """
set -e
mount --make-rprivate /
mount -t proc proc "$0/proc"
mount -t tmpfs -o mode=755 dev "$0/dev"
mkdir "$0/dev/shm"
mount -t tmpfs shm "$0/dev/shm"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$0/dev/${node%:*}" c 1 "${node#*:}"
done
ln -s /proc/self/fd "$0/dev/fd"
while [ "$1" != -- ]; do
    mkdir -p "$0$2"
    mount --bind "$1" "$0$2"
    mount -o remount,bind,ro "$0$2"
    shift 2
done
shift
exec chroot "$0" "$@"
"""
"""In mounts of its own, with devices of its own: nothing of this machine's is in reach."""


def this_machine() -> str:
    """Debian's name of this machine's processor.

    Raises:
        SystemExit: it has none that the appliance is made for.
    """
    machine = platform.machine()
    if machine not in DEBIAN:
        raise SystemExit(f"The appliance is not made for {machine}.")
    return DEBIAN[machine]


def let_run(architecture: str) -> None:
    """Has Linux run that architecture's programs, by qemu where they are not this machine's.

    Raises:
        SystemExit: it can't; the message says what is missing.
    """
    if architecture == this_machine():
        return
    name = f"qemu-{LINUX[architecture]}"
    settings = BINFMT_SETTINGS / f"{name}.conf"
    if (BINFMT / name).exists():
        return
    if not settings.exists():
        raise SystemExit(f"{settings} is missing: install the Debian package qemu-user-static.")
    try:
        if not (BINFMT / "register").exists():
            subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT], check=True)
        (BINFMT / "register").write_bytes(settings.read_bytes().strip())
    except (OSError, subprocess.CalledProcessError) as ex:
        raise SystemExit(f"Linux cannot be told to run programs for {architecture}: {ex}") from ex


def make(
    target: Path,
    packages: Iterable[str],
    *,
    architecture: str,
    variant: str = "minbase",
    options: Collection[str] = (),
) -> None:
    """A system with these packages and what they need, all of it or nothing.

    It comes from where this machine's own packages come from.

    Args:
        target: a folder, or a file with a name that ends in `.tar`; it must not be there.
        variant: mmdebstrap's word for what else is in it.
        options: more of mmdebstrap's.

    Raises:
        SystemExit: a program is missing, or it is no Debian that this runs on.
        subprocess.CalledProcessError: mmdebstrap has said why.
    """
    if shutil.which("mmdebstrap") is None:
        raise SystemExit("mmdebstrap is missing: install the Debian package mmdebstrap.")
    let_run(architecture)
    release, sources = _sources()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        half = Path(scratch, target.name)
        command = ["mmdebstrap", "--quiet", f"--architectures={architecture}"]
        # Whether its programs run has been seen to; what looks for that is one more package.
        command += ["--skip=check/qemu", f"--variant={variant}", *options]
        # Otherwise the release's own way is to move /bin into /usr with Perl's help.
        command += ["--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr"]
        command += [f"--include={','.join(packages)}", release, str(half), *sources]
        subprocess.run(command, check=True)
        half.chmod(0o755 if half.is_dir() else 0o644)
        half.rename(target)


def _sources() -> tuple[str, list[str]]:
    """This machine's release and, as lines of `sources.list`, where its packages come from."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    told = subprocess.run(
        [
            *("apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) main"),
            *("Created-By: Packages", "ORIGIN: Debian", "COMPONENT: main"),
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    lines = sorted(line for line in set(told.splitlines()) if f" {release}" in line)
    if not (release and lines):
        raise SystemExit("This machine is no Debian that knows where packages come from.")
    return release, lines


def introduce(root: Path) -> None:
    """Tells a system how this machine reaches its registries."""
    for name in REACHES_REGISTRIES:
        source = Path(name).expanduser()
        target = root / ("root" + name[1:] if name[0] == "~" else name[1:])
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy(source, target)


def inside(
    root: Path,
    *command: str,
    folder: str = "/",
    variables: Mapping[str, str] | None = None,
    shared: Mapping[Path, str] | None = None,
) -> list[str]:
    """The command line that runs a command in a system, as root, on the network of this machine.

    Whatever it starts ends with it. Its own parent, `unshare`, passes no signal on.

    Args:
        folder: where it begins.
        variables: its environment, besides what says how registries are reached.
        shared: folders of this machine, and where they are to be read there.
    """
    said = {name: value for name, value in os.environ.items() if name.upper().startswith(SAYS_HOW)}
    said |= {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **(variables or {})}
    mounts = [word for source, target in (shared or {}).items() for word in (str(source), target)]
    return [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER),
        *(str(root), *mounts, "--", "env", "-i", "-C", folder),
        *(f"{name}={value}" for name, value in said.items()),
        *command,
    ]


def depends(package: Path) -> list[str]:
    """The Debian packages that a .deb depends on; the first where one of several would do."""
    told = subprocess.run(
        ["dpkg-deb", "--field", str(package), "Depends"], capture_output=True, text=True, check=True
    ).stdout
    return [shlex.split(one)[0] for one in told.split(",") if one.strip()]
