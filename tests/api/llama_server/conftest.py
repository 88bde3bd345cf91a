"""The same models behind the appliance and behind llama.cpp's own server."""

import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from appliance.config import paths
from appliance.models.gguf.header import read_header
from tests.engine.upstream import llama_server
from tests.models.architectures import bert
from tests.running import Running

FILL_IN = {"pre": 7, "suf": 8, "mid": 9}
"""Control tokens of the embedded model that no text has."""


class Both(NamedTuple):
    """Addresses."""

    ours: str
    theirs: str


def filling_in(file: Path) -> None:
    """The embedded model with tokens for filling in text: its chat template gives way to them."""
    content = paths.embedded_model().read_bytes()
    template = (read_header(paths.embedded_model()).chat_template or "").encode()
    pairs = b""
    for name, token in FILL_IN.items():
        key = f"tokenizer.ggml.fim_{name}_token_id".encode()
        pairs += struct.pack("<Q", len(key)) + key + struct.pack("<II", 4, token)
    old = struct.pack("<Q", len(template)) + template
    assert content.count(old) == 1
    shorter = len(template) - len(pairs)
    plain = b"{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    new = plain + b"{#" + b"-" * (shorter - len(plain) - 4) + b"#}"
    content = content.replace(old, struct.pack("<Q", shorter) + new + pairs)
    (count,) = struct.unpack_from("<Q", content, 16)
    file.write_bytes(content[:16] + struct.pack("<Q", count + len(FILL_IN)) + content[24:])


@contextmanager
def llama_servers(file: Path, n_ctx: int, *pooling: int) -> Iterator[str]:
    command = [sys.executable, llama_server.__file__, str(file), str(n_ctx), "1"]
    process = subprocess.Popen(
        [*command, *map(str, pooling)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin and process.stdout
    yield process.stdout.readline().strip()
    process.stdin.close()
    process.stdout.close()
    process.wait(30)


@pytest.fixture(scope="session")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With a model that fills in text, and one that compares texts."""
    folder = tmp_path_factory.mktemp("llama-server")
    models = folder / "data" / "models"
    models.mkdir(parents=True)
    filling_in(models / "fill.gguf")
    bert(pooling=4).save(models / "rank.gguf")
    config = "".join(
        f'[[models.available_models]]\nid = "{name}"\npath = "{name}.gguf"\n'
        for name in ("fill", "rank")
    )
    running = Running(folder, config=config).start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def filler(appliance: Running) -> Iterator[Both]:
    with llama_servers(appliance.data / "models" / "fill.gguf", 1024) as theirs:
        yield Both(appliance.url, theirs)


@pytest.fixture(scope="session")
def ranker(appliance: Running) -> Iterator[Both]:
    with llama_servers(appliance.data / "models" / "rank.gguf", 256, 4) as theirs:
        yield Both(appliance.url, theirs)
