"""Removing a model's files: ours alone. What another program keeps is that program's to remove."""

import contextlib
from collections.abc import Callable

from appliance.errors import Conflict
from appliance.models.local.index import ModelFile

_KEEPERS = {
    "bundled": "it came with the appliance",
    "folder": "it is in a folder that is not the appliance's: remove the file there",
    "huggingface": "it is in Hugging Face's cache: `hf cache rm` removes it",
    "lmstudio": "it is LM Studio's, which removes it under My Models",
    "ollama": "it is Ollama's: `ollama rm` removes it",
    "llama.cpp": "it is in llama.cpp's cache: remove the file there",
}


def remove(entry: ModelFile, *, before: Callable[[], None]) -> None:
    """Remove the files of a model that is in our folder, and the folders that they leave empty.

    Args:
        before: called when it is certain that it will be tried.

    Raises:
        Conflict: they are not ours, or cannot be removed; the message says why.
    """
    if entry.owner != "appliance":
        raise Conflict(f"{entry.id} stays: {_KEEPERS[entry.owner]} ({entry.path})", param="model")
    before()
    for file in entry.files:
        try:
            file.unlink(missing_ok=True)
        except OSError as ex:
            raise Conflict(f"{file} cannot be removed: {ex.strerror}", param="model") from ex
    steps = len(entry.repo.split("/")) if entry.repo else 0
    folder = entry.path.parent
    with contextlib.suppress(OSError):  # it has something else in it
        for _ in range(steps):
            folder.rmdir()
            folder = folder.parent
