"""The container image, run by Podman as users run it.

`make image` makes it and `make image-test` runs this. Debian packages: podman, crun or runc,
slirp4netns; root. Podman uses a separate store here, and a network that leaves nothing behind.
"""

import gzip
import hashlib
import io
import json
import re
import resource
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest

import debian
import image
from tests.packaging.built_packages import newest
from tests.waiting import wait_until

KEY = "sk-of-a-container-0123456789abcdef"
ARCHITECTURES = {"amd64": "appliance-image-amd64.tar", "arm64": "arm64/appliance-image-arm64.tar"}
SECONDS = 600

pytestmark = pytest.mark.packages


# -- the archive -----------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_archive_is_whole(architecture: str) -> None:
    with tarfile.open(newest(ARCHITECTURES[architecture])) as archive:

        def read(name: str) -> bytes:
            stream = archive.extractfile(name)
            assert stream
            return stream.read()

        def blob(pointer: dict[str, Any]) -> bytes:
            digest = pointer["digest"].removeprefix("sha256:")
            content = read(f"blobs/sha256/{digest}")
            assert len(content) == pointer["size"]
            assert hashlib.sha256(content).hexdigest() == digest
            return content

        assert json.loads(read("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        (pointer,) = json.loads(read("index.json"))["manifests"]
        assert pointer["platform"] == {"os": "linux", "architecture": architecture}
        manifest = json.loads(blob(pointer))
        described = json.loads(blob(manifest["config"]))
        names: dict[str, tarfile.TarInfo] = {}
        for layer, plain in zip(manifest["layers"], described["rootfs"]["diff_ids"], strict=True):
            content = gzip.decompress(blob(layer))
            assert "sha256:" + hashlib.sha256(content).hexdigest() == plain
            with tarfile.open(fileobj=io.BytesIO(content)) as files:
                names |= {one.name.removeprefix("./").rstrip("/"): one for one in files}
    assert described["architecture"] == architecture
    assert names["data"].uid == image.USER and names["data"].mode & 0o777 == 0o700
    assert names["usr/lib/appliance/appliance"].mode & 0o777 == 0o755
    assert not {"etc/apt/sources.list", "etc/resolv.conf", "usr/bin/apt-get"} & set(names)


# -- running ---------------------------------------------------------------------------------------


class Podman:
    """Podman with a separate store."""

    def __init__(self) -> None:
        # It refuses names as long as pytest's folders.
        self._folder = Path(tempfile.mkdtemp(prefix="podman-"))
        # crun refuses control groups of both versions at once.
        version_2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        self._runtime = "crun" if version_2 and shutil.which("crun") else "runc"
        for program, package in (
            ("podman", "podman"),
            ("slirp4netns", "slirp4netns"),
            (self._runtime, self._runtime),
        ):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is missing: install the Debian package `{package}`")

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["podman", "--root", str(self._folder / "store")]
        command += ["--runroot", str(self._folder / "run"), "--tmpdir", str(self._folder / "tmp")]
        command += ["--cgroup-manager=cgroupfs", "--events-backend=none", "--log-level=error"]
        command += ["--runtime", self._runtime]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, timeout=SECONDS
        )

    def must(self, *arguments: str) -> str:
        done = self(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`podman run`, with the container's privileges reduced as far as possible."""
        limits = []
        for name in ("nofile", "nproc"):
            # Podman requests more than it has itself, which only some machines allow.
            soft, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
            limits += ["--ulimit", f"{name}={min(soft, 1024)}:{min(hard, 1024)}"]
        taken = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]
        return self("run", *limits, *taken, "--network=slirp4netns", *arguments)

    def end(self) -> None:
        self("rm", "--all", "--force", "--time=0")
        self("rmi", "--all", "--force")
        with suppress(psutil.Error):
            mounted = [it.mountpoint for it in psutil.disk_partitions(all=True)]
            for place in filter(lambda it: it.startswith(str(self._folder)), mounted):
                subprocess.run(["umount", place], check=False)
        subprocess.run(["rm", "-rf", self._folder], check=False)


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    one = Podman()
    yield one
    one.end()


@pytest.fixture(scope="module")
def name(podman: Podman) -> str:
    """The name of the loaded image."""
    output = podman.must("load", "--input", str(newest(ARCHITECTURES["amd64"])))
    return output.rpartition("Loaded image: ")[2]


class Container:
    """A running container, on a port of this machine."""

    def __init__(self, podman: Podman, image: str, *options: str) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port: int = taken.getsockname()[1]
        self._podman = podman
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=120,
        )
        started = podman.run("--detach", f"--publish=127.0.0.1:{port}:3000", *options, image)
        assert started.returncode == 0, started.stderr
        self.id = started.stdout.strip()
        wait_until(self._ready, "it is not ready")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def _ready(self) -> bool:
        state = self._podman.must("inspect", self.id, "--format", "{{.State.Status}}")
        assert state == "running", self._podman("logs", self.id).stderr
        with suppress(httpx.TransportError):
            return self.http.get("/readiness").status_code == 200
        return False

    def inside(self, *command: str) -> str:
        return self._podman.must("exec", self.id, *command)

    def messages(self, session: str) -> Any:
        return self.http.get(f"/api/sessions/{session}/messages").json()["messages"]

    def stop(self) -> int:
        """Stop it with Podman's default: ten seconds, then it is killed. The exit code."""
        self._podman.must("stop", self.id)
        return int(self._podman.must("inspect", self.id, "--format", "{{.State.ExitCode}}"))


def test_without_a_key_it_lets_nobody_in(podman: Podman, name: str) -> None:
    ended = podman.run("--rm", name)
    assert ended.returncode == 78
    assert "API_KEY_FILE" in ended.stderr


def test_chats_stay_when_the_container_is_another_one(
    podman: Podman, name: str, tmp_path: Path
) -> None:
    secret = tmp_path / "api_key"
    secret.write_text(f"{KEY}\n")
    with Container(podman, name, "--volume=chats:/data", f"--env=API_KEY={KEY}") as first:
        assert httpx.get(f"{first.http.base_url}/v1/models").status_code == 401
        session = first.http.post("/api/sessions", json={}).json()["id"]
        turn = first.http.post(f"/api/sessions/{session}/turns", json={"content": "Hello!"})
        assert turn.status_code == 200, turn.text
        assert first.stop() == 0

    where = "/run/secrets/api_key"
    given = (f"--volume={secret}:{where}:ro", f"--env=API_KEY_FILE={where}")
    with Container(podman, name, "--volume=chats:/data", *given) as second:
        messages = second.messages(session)
        assert [(one["role"], one["status"]) for one in messages] == [
            ("user", "complete"),
            ("assistant", "complete"),
        ]
        assert messages[1]["content"]
        assert second.stop() == 0


def test_it_stops_in_time_in_the_middle_of_a_reply(podman: Podman, name: str) -> None:
    options = ("--volume=replies:/data", f"--env=API_KEY={KEY}")
    with Container(podman, name, *options) as container:
        settings = {"settings": {"max_tokens": 2000}}
        session = container.http.post("/api/sessions", json=settings).json()["id"]
        question = {"content": "Tell me a very long story about the sea."}
        path = f"/api/sessions/{session}/turns"
        with container.http.stream("POST", path, json=question) as reply:
            assert reply.status_code == 200
            next(line for line in reply.iter_lines() if "delta" in line)
            assert container.stop() == 0, "it was killed"

    with Container(podman, name, *options) as again:
        assert again.messages(session)[1]["content"], "what was written so far is kept"
        assert again.stop() == 0


def test_the_container_reports_its_limits_and_its_health(podman: Podman, name: str) -> None:
    health = ("--health-cmd=appliance health", "--health-interval=disable")
    limits = ("--memory=1500m", "--cpus=1")
    with Container(podman, name, *health, *limits, f"--env=API_KEY={KEY}") as container:
        podman.must("healthcheck", "run", container.id)
        found = container.inside("appliance", "doctor")
        assert re.search(r"^processor 1 thread .*quota of 1 by /sys/fs/cgroup/", found, re.M)
        assert re.search(r"^memory .* of 1\.6 GB, as /sys/fs/cgroup/", found, re.M)
        assert container.inside("id", "-u") == str(image.USER)
        assert container.stop() == 0


def test_it_runs_on_arm64() -> None:
    try:
        debian.let_run("arm64")
    except SystemExit as ex:
        pytest.skip(str(ex))
    podman = Podman()
    try:
        output = podman.must("load", "--input", str(newest(ARCHITECTURES["arm64"])))
        ran = podman.run("--rm", output.rpartition("Loaded image: ")[2], "--version")
    finally:
        podman.end()
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("appliance ")
