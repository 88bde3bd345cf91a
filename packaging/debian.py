"""Debian systems in folders, of this machine's release and for any processor, and commands in them.

Needs the Debian package mmdebstrap; for another processor also qemu-user-static, whose programs
Linux starts by itself once they are registered with binfmt_misc. Running commands needs root.
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
"""Debian's names of architectures by Linux's."""
LINUX = {debian: linux for linux, debian in DEBIAN.items()}
BINFMT = Path("/proc/sys/fs/binfmt_misc")
BINFMT_SETTINGS = Path("/usr/lib/binfmt.d")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REGISTRY_FILES = (
    *("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"),
    *("/etc/pip.conf", "/etc/xdg/pip", "~/.config/pip", "~/.pip", "~/.npmrc"),
)
"""This machine's settings for network and package registries; not every machine has all of them."""
REGISTRY_VARIABLES = (
    *("PIP_", "NPM_CONFIG_", "SSL_CERT_", "NODE_EXTRA_"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
"""Prefixes of environment variables for the same."""
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
"""With its own mounts and devices: nothing of this machine's can be reached."""


def this_machine() -> str:
    """Debian's name of this machine's architecture.

    Raises:
        SystemExit: the appliance does not support it.
    """
    machine = platform.machine()
    if machine not in DEBIAN:
        raise SystemExit(f"The appliance does not support {machine}.")
    return DEBIAN[machine]


def let_run(architecture: str) -> None:
    """Lets Linux run that architecture's programs, with qemu if they are not for this machine.

    Raises:
        SystemExit: not possible; the message says what is missing.
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
        raise SystemExit(f"Linux cannot be set up to run {architecture} programs: {ex}") from ex


def make(
    target: Path,
    packages: Iterable[str],
    *,
    architecture: str,
    variant: str = "minbase",
    options: Collection[str] = (),
) -> None:
    """Makes a system with these packages and their dependencies, completely or not at all.

    Packages come from the sources of this machine's own packages.

    Args:
        target: a folder, or a file with a name that ends in `.tar`; it must not exist.
        variant: mmdebstrap's name for the set of base packages.
        options: further options for mmdebstrap.

    Raises:
        SystemExit: a program is missing, or this machine does not run Debian.
        subprocess.CalledProcessError: mmdebstrap failed and has printed why.
    """
    if shutil.which("mmdebstrap") is None:
        raise SystemExit("mmdebstrap is missing: install the Debian package mmdebstrap.")
    let_run(architecture)
    release, sources = _sources()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        half = Path(scratch, target.name)
        command = ["mmdebstrap", "--quiet", f"--architectures={architecture}"]
        # `let_run` has made sure that its programs run; the check would need one more package.
        command += ["--skip=check/qemu", f"--variant={variant}", *options]
        # Otherwise the release itself would move /bin into /usr, which needs Perl.
        command += ["--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr"]
        command += [f"--include={','.join(packages)}", release, str(half), *sources]
        subprocess.run(command, check=True)
        half.chmod(0o755 if half.is_dir() else 0o644)
        half.rename(target)


def _sources() -> tuple[str, list[str]]:
    """This machine's release and, as lines of `sources.list`, where its packages come from."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    output = subprocess.run(
        [
            *("apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) main"),
            *("Created-By: Packages", "ORIGIN: Debian", "COMPONENT: main"),
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    lines = sorted(line for line in set(output.splitlines()) if f" {release}" in line)
    if not (release and lines):
        raise SystemExit("This machine is not a Debian with package sources.")
    return release, lines


def introduce(root: Path) -> None:
    """Copies this machine's settings for network and package registries into a system."""
    for name in REGISTRY_FILES:
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

    Whatever it starts ends with it. Its parent process, `unshare`, forwards no signals.

    Args:
        folder: its working directory.
        variables: its environment, besides the variables for registries.
        shared: folders of this machine, and where they are mounted there, read-only.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.upper().startswith(REGISTRY_VARIABLES)
    }
    environment |= {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **(variables or {})}
    mounts = [word for source, target in (shared or {}).items() for word in (str(source), target)]
    return [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER),
        *(str(root), *mounts, "--", "env", "-i", "-C", folder),
        *(f"{name}={value}" for name, value in environment.items()),
        *command,
    ]


def depends(package: Path) -> list[str]:
    """The Debian packages that a .deb depends on; of alternatives, the first."""
    output = subprocess.run(
        ["dpkg-deb", "--field", str(package), "Depends"], capture_output=True, text=True, check=True
    ).stdout
    return [shlex.split(one)[0] for one in output.split(",") if one.strip()]
