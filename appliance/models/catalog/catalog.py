"""The catalog of recommended models, by the memory they need, with their other names.

The list comes with the appliance: looking at it needs no network. Sizes are those of the
recommended file, rounded; the hub says exactly how large it is before it is downloaded.
"""

from functools import cache
from pathlib import Path

import msgspec

from appliance.models.catalog import names


class CatalogModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the list."""

    id: str
    title: str
    family: str
    repo: str
    """The repository of its GGUF files on the hub."""
    names: tuple[str, ...]
    """What the model itself is called there."""
    licence: str
    parameters: int
    context_length: int
    """Tokens."""
    size: int
    """Bytes of the recommended file."""
    quantization: str
    """The quantization of that file."""
    about: str


@cache
def listed() -> tuple[CatalogModel, ...]:
    """All of them, the smallest first."""
    file = Path(__file__).with_name("catalog.json")
    return msgspec.json.decode(file.read_bytes(), type=tuple[CatalogModel, ...])


def find(name: str) -> CatalogModel | None:
    """The model of the list with that id, repository or name, in any case."""
    wanted = name.lower()
    return next(
        (
            model
            for model in listed()
            if wanted in (model.id, model.repo.lower(), *(other.lower() for other in model.names))
        ),
        None,
    )


def search(text: str) -> tuple[CatalogModel, ...]:
    """The models of the list that contain all words of `text`."""
    words = text.lower().split()
    return tuple(
        model
        for model in listed()
        if all(
            word in f"{model.id} {model.title} {model.repo} {' '.join(model.names)}".lower()
            for word in words
        )
    )


def repos(name: str) -> tuple[str, ...]:
    """Repositories that may have the GGUF files of the model `name`, likeliest first; none: it is
    no name of the hub's or the list's."""
    known = find(name)
    if known:
        return (known.repo,)
    if "/" not in name:
        return ()
    if name.lower().endswith("-gguf"):
        return (name,)
    return (f"{name}-GGUF", name)


def aliases(repo: str) -> tuple[str, ...]:
    """Other names of a model from that repository."""
    known = find(repo)
    if known:
        return (known.repo, *known.names, known.id)
    return (repo, repo[:-5]) if repo.lower().endswith("-gguf") else (repo,) if repo else ()


def install_hint(name: str, wanted: str) -> str:
    """What to type to have the model."""
    return f"appliance pull {name}:{wanted}" if wanted else f"appliance pull {name}"


def found_here(name: str, wanted: str, here: dict[Path, str]) -> Path | None:
    """The file of the model `name` among files that are here.

    Args:
        wanted: its quantization; see `names.choose`.
        here: files and the repositories that they came from.
    """
    for repo in repos(name):
        files = {str(path): path for path, origin in here.items() if origin.lower() == repo.lower()}
        chosen = names.choose(files, wanted)
        if chosen:
            return files[chosen]
    return None
