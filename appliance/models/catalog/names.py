"""Names of models: what people type, resolved to a repository and one of its files."""

import re
from collections.abc import Iterable

from appliance.errors import RequestError
from appliance.models.gguf import shards

_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])(I?Q[1-9]_[A-Z0-9]+(?:_[A-Z0-9]+)*|T?Q[1-9]_\d|MXFP4(?:_MOE)?|BF16|F16|FP16|F32)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_WANTED = {
    "": ("Q4_K_M", "Q4_K_S", "Q4_0", "MXFP4", "IQ4_XS", "IQ4_NL", "Q4_1", "Q5_K_M", "Q8_0"),
    "q4": ("Q4_K_M", "Q4_K_S", "Q4_0", "MXFP4", "IQ4_XS", "IQ4_NL", "Q4_1"),
    "q8": ("Q8_0",),
    "bf16": ("BF16", "F16"),
}
"""What the short names stand for, best first; none means about four bits."""
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_STEP = re.compile(r"[A-Za-z0-9_+@=,() -][A-Za-z0-9._+@=,() -]{0,200}")


def quantization(file: str) -> str:
    """How a file's name says that it is quantized: `Q4_K_M`. Empty: it doesn't."""
    found = _QUANTIZATION.findall(shards.stem(file.rpartition("/")[2]))
    name = found[-1].upper() if found else ""
    return {"FP16": "F16", "MXFP4_MOE": "MXFP4"}.get(name, name)


def choose(files: Iterable[str], wanted: str) -> str | None:
    """The file to take, the first one of a model of several.

    Args:
        files: what there is to choose from.
        wanted: `q4`, `q8` or `bf16`, a GGUF quantization, a file's name, or nothing: some four
            bits, or else whatever there is.
    """
    models = [file for file in files if is_model(file)]
    for file in models:
        if wanted and wanted in (file, file.rpartition("/")[2]):
            return file
    for name in _WANTED.get(wanted.lower(), (wanted.upper(),)):
        fitting = [file for file in models if quantization(file) == name]
        if fitting:
            return min(fitting, key=lambda file: (file.count("/"), len(file), file))
    return None if wanted else next(iter(sorted(models)), None)


def is_model(file: str) -> bool:
    """Whether a file is a GGUF, whole or the first of several, and no projector or imatrix."""
    name = file.rpartition("/")[2].lower()
    return (
        name.endswith(".gguf")
        and shards.number(name) <= 1
        and "mmproj" not in name
        and "imatrix" not in name
    )


def all_parts(file: str) -> list[str]:
    """Every file of the model whose first file is `file`, with its folder."""
    folder, slash, name = file.rpartition("/")
    return [folder + slash + part for part in shards.parts(name)]


def check_repo(repo: str) -> str:
    """The name of a repository on the hub, if it can be one.

    Raises:
        RequestError: it cannot.
    """
    if not _REPO.fullmatch(repo) or ".." in repo or repo.endswith((".git", ".", "/")):
        raise RequestError(f"{repo!r} is no model of the hub: OWNER/NAME", param="model")
    return repo


def check_file(file: str) -> str:
    """A file's place in a repository, if it can be one here as well.

    Raises:
        RequestError: it is no plain place below a folder, or no GGUF.
    """
    steps = file.split("/")
    if not all(_STEP.fullmatch(step) for step in steps) or len(steps) > 8:
        raise RequestError(f"{file[:200]!r} cannot be the name of a file here", param="file")
    if not file.lower().endswith(".gguf"):
        raise RequestError(f"{file} is no GGUF file", param="file")
    return file


def parse(text: str) -> tuple[str, str]:
    """What is wanted and in which quantization, which is empty if none was named.

    `NAME`, `NAME:QUANTIZATION`, `OWNER/NAME/FILE.gguf`, or the address of one of these.
    """
    text = re.sub(r"^(https?://[^/]+/|hf\.co/|hf://)", "", text.strip())
    text = re.sub(r"/(resolve|blob)/[^/]+/", "/", text).partition("?")[0].rstrip("/")
    steps = text.split("/")
    if len(steps) > 2 and text.lower().endswith(".gguf"):
        return "/".join(steps[:2]), "/".join(steps[2:])
    name, _, wanted = text.partition(":")
    return name, wanted
