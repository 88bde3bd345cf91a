"""A hub on loopback: huggingface_hub's API and files, correct unless set to misbehave."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from appliance.config import paths

REPO = "Qwen/Qwen2.5-0.5B-Instruct-GGUF"
FILE = "qwen2.5-0.5b-instruct-q4_k_m.gguf"
"""The file that `serving_one` has."""
REVISION = "c0ffee" + "0" * 34


@dataclass
class Behaviour:
    """How one request for a file is answered; None and False: correctly."""

    cut: int | None = None
    """Bytes of the body after which the connection breaks."""
    stall: bool = False
    """After `cut` bytes nothing more is sent."""
    drip: float = 0.0
    """Seconds before each 64 KB."""
    status: int | None = None
    retry_after: str = ""
    content: bytes | None = None
    """The content of another file."""
    etag: str | None = None
    length: int | None = None
    """The value of Content-Length."""
    ignore_range: bool = False
    shift: int = 0
    """Bytes that the range begins too late, with a correct Content-Range."""
    shift_silently: int = 0
    """The same, with the requested Content-Range."""
    encoding: str = ""
    extra: bytes = b""
    """Bytes after the end, without a Content-Length."""


@dataclass
class Asked:
    """A received request."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    server: str
    """`hub` or `cdn`."""


@dataclass
class Hub:
    """The hub's content and behaviour; may be changed while it runs."""

    url: str = ""
    cdn: str = ""
    """The address of the files, on another port; empty: the hub itself."""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=lambda: ["gguf", "license:apache-2.0"])
    gated: bool = False
    token: str = ""
    """Requests without this token are refused."""
    plain: bool = False
    """Files are in git itself, not in LFS."""
    hashes: dict[str, str] = field(default_factory=dict)
    """Wrong SHA-256 values, by file."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Wrong sizes, by file."""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Status and body by path, instead of the normal response."""
    plan: list[Behaviour] = field(default_factory=list)
    """Behaviour of the next requests for files, one each."""
    always: Behaviour = field(default_factory=Behaviour)
    """Behaviour after the plan."""
    asked: list[Asked] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    """Ends stalled responses."""

    def files_asked(self) -> list[Asked]:
        """Requests for content."""
        return [one for one in self.asked if "/resolve/" in one.path]

    def starts(self) -> list[int]:
        """The byte at which each of them began."""
        where = "cdn" if self.cdn else "hub"
        ranges = [
            a.headers.get("range", "bytes=0-") for a in self.files_asked() if a.server == where
        ]
        return [int(text.removeprefix("bytes=").removesuffix("-")) for text in ranges]

    def info(self, repo: str) -> dict[str, Any]:
        """The response to `/api/models/REPO?blobs=true`."""
        siblings = []
        for name, content in self.repos[repo].items():
            size = self.sizes.get(name, len(content))
            sha1 = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            one: dict[str, Any] = {"rfilename": name, "size": size, "blobId": sha1}
            if not self.plain:
                sha256 = self.hashes.get(name, hashlib.sha256(content).hexdigest())
                one["lfs"] = {"size": size, "sha256": sha256, "pointerSize": 134}
            siblings.append(one)
        return {
            "id": repo,
            "modelId": repo,
            "sha": REVISION,
            "tags": self.tags,
            "gated": self.gated,
            "downloads": 5,
            "likes": 1,
            "siblings": siblings,
        }

    def behaviour(self) -> Behaviour:
        return self.plan.pop(0) if self.plan else self.always


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    hub: Hub
    server_name: str

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.asked.append(Asked(path, parse_qs(parts.query), headers, self.server_name))
        known = self.server_name == "cdn" or (
            not self.hub.token or headers.get("authorization") == f"Bearer {self.hub.token}"
        )
        if path in self.hub.answers:
            self.respond(*self.hub.answers[path])
        elif not known:
            self.respond(
                401, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"}
            )
        elif path == "/api/models":
            found = [self.hub.info(repo) for repo in self.hub.repos]
            self.respond(200, json.dumps(found).encode())
        elif path.startswith("/api/models/"):
            self.repo(path.removeprefix("/api/models/"))
        elif "/resolve/" in path:
            self.file(path)
        else:
            self.respond(404, b"{}")

    def repo(self, repo: str) -> None:
        if repo not in self.hub.repos:
            self.respond(
                404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"}
            )
        elif self.hub.gated:
            self.respond(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        else:
            self.respond(200, json.dumps(self.hub.info(repo)).encode())

    def file(self, path: str) -> None:
        repo, _, rest = path.strip("/").partition("/resolve/")
        name = rest.partition("/")[2]
        if name not in self.hub.repos.get(repo, {}):
            self.respond(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        elif self.hub.cdn and self.server_name == "hub":
            self.respond(302, b"", {"Location": self.hub.cdn + self.path})
        else:
            self.content(self.hub.repos[repo][name], self.hub.behaviour())

    def content(self, whole: bytes, how: Behaviour) -> None:
        if how.status:
            self.respond(
                how.status, b"", {"Retry-After": how.retry_after} if how.retry_after else {}
            )
            return
        whole = whole if how.content is None else how.content
        etag = how.etag if how.etag is not None else f'"{hashlib.sha256(whole).hexdigest()}"'
        wanted = self.headers.get("Range")
        same = self.headers.get("If-Range") in (None, etag)
        start = 0
        if wanted and same and not how.ignore_range:
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) + how.shift
            if start >= len(whole):
                self.respond(416, b"", {"Content-Range": f"bytes */{len(whole)}"})
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        else:
            self.send_response(200)
        body = whole[start + how.shift_silently :] + how.extra
        self.send_header("ETag", etag)
        if how.encoding:
            self.send_header("Content-Encoding", how.encoding)
        if how.extra:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(how.length or len(body)))
        self.end_headers()
        self.body(body, how)

    def body(self, body: bytes, how: Behaviour) -> None:
        self.close_connection = bool(how.extra or how.length or how.cut is not None)
        try:
            for at in range(0, len(body[: how.cut]), 65536):
                if how.drip and self.hub.release.wait(how.drip):
                    return
                self.wfile.write(body[: how.cut][at : at + 65536])
                self.wfile.flush()
            if how.stall:
                self.hub.release.wait(60)
        except OSError:
            self.close_connection = True  # the client has disconnected

    def respond(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Disconnecting clients are expected here."""


@contextmanager
def serving(*, cdn: bool = False) -> Iterator[Hub]:
    """A hub; with `cdn`, its files are on another port."""
    hub = Hub()
    servers = []
    for name in ("hub", "cdn")[: 1 + cdn]:
        kind = type(f"Handler of the {name}", (Handler,), {"hub": hub, "server_name": name})
        server = Server(("127.0.0.1", 0), kind)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        if name == "hub":
            hub.url = url
        else:
            hub.cdn = url
    try:
        yield hub
    finally:
        hub.release.set()
        for server in servers:
            server.shutdown()
            server.server_close()


@contextmanager
def serving_one() -> Iterator[Hub]:
    """A hub with a small file under the name of one of the catalogue's models."""
    with serving() as hub:
        hub.repos[REPO] = {FILE: paths.embedded_model().read_bytes()}
        yield hub
