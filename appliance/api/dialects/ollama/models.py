"""Ollama's API: models, their details, and which are loaded."""

import hashlib
import json
import math
import time
from pathlib import Path
from typing import Any

import falcon
import msgspec
from msgspec import UNSET

from appliance.api.dialects.ollama.answers import (
    OllamaDetails,
    OllamaError,
    OllamaLoadedModel,
    OllamaLoadedModels,
    OllamaModel,
    OllamaModels,
    OllamaVersion,
    ShownModel,
    ollama_error,
    timestamp,
)
from appliance.api.dialects.ollama.derived import delete_derived
from appliance.api.dialects.ollama.schemas import DeleteRequest, ShowRequest
from appliance.api.dialects.ollama.served import ModelInventory, OllamaPool
from appliance.api.openapi.operation import Operations
from appliance.api.wire.lenient import decode_any_type
from appliance.engine.serving.pool import Pool
from appliance.errors import BadModelFile, ModelNotFound
from appliance.models.gguf.header import GgufHeader
from appliance.models.gguf.shards import read_model
from appliance.models.local.abilities import capabilities
from appliance.models.local.summary import LocalModel
from appliance.store.callers.derived_models import DerivedModel

operation = Operations("Ollama")

VERSION = "0.17.6"
"""The version of Ollama's API that this implements. Clients refuse older ones."""
NEVER = "2318-01-01T00:00:00.000000Z"
"""When a model expires that doesn't."""


class OllamaModelResource:
    """`/api/version`, `/api/tags`, `/api/ps`, `/api/show` and `/api/delete`."""

    error_format = staticmethod(ollama_error)

    def __init__(self, all: Pool, pool: OllamaPool, models: ModelInventory) -> None:
        self._all = all
        self._pool = pool
        self._models = models
        self._since = time.time()

    @operation(gives=OllamaVersion, error=OllamaError)
    def on_get_version(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The version of Ollama whose API this is."""
        resp.media = OllamaVersion(version=VERSION)

    @operation(gives=OllamaModels, error=OllamaError)
    def on_get_tags(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The models on this machine, the newest first."""
        known = [model for model in self._models.offered() if model.downloaded]
        entries = [self._entry(model) for model in known]
        here = {model.id: model for model in known}
        entries += [
            self._entry(here[made.base], made)
            for made in self._pool.derived.all()
            if made.base in here
        ]
        entries.sort(key=lambda it: it.modified_at, reverse=True)
        resp.media = OllamaModels(models=entries)

    @operation(gives=OllamaLoadedModels, error=OllamaError)
    def on_get_ps(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The models in memory."""
        served = {model.id: model for model in self._all.models()}
        found = []
        for known in self._models.offered():
            if known.status not in ("ready", "failing") or known.id not in served:
                continue
            left = self._pool.seconds_left(served[known.id])
            size = known.memory_bytes or known.size
            found.append(
                OllamaLoadedModel(
                    name=_tagged(known.id),
                    model=_tagged(known.id),
                    size=size,
                    digest=_digest(known),
                    details=_details(known),
                    expires_at=NEVER if math.isinf(left) else timestamp(time.time() + left),
                    size_vram=0 if known.device in (None, "cpu") else size,
                    context_length=known.n_ctx or known.context_length,
                )
            )
        resp.media = OllamaLoadedModels(models=found)

    @operation(takes=ShowRequest, gives=ShownModel, errors=(404,), error=OllamaError)
    def on_post_show(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A model in detail."""
        body, _ = decode_any_type(req, ShowRequest)
        model, made = self._pool.resolve(body.asked())
        known = self._models.offered_as(model.id)
        header = _header(known)
        context = known.n_ctx or known.context_length
        options = {**({"num_ctx": context} if context else {}), **(made.options if made else {})}
        parameters = _parameters(options)
        resp.media = ShownModel(
            license=(made.licence if made else "") or known.licence,
            modelfile=_modelfile(known, made),
            parameters="\n".join(f"{name:<30} {value}" for name, value in parameters) or UNSET,
            template=(header and header.chat_template) or "",
            system=made.system if made else "",
            messages=made.messages if made and made.messages else UNSET,
            details=_details(known, made),
            model_info=_model_info(known, header),
            capabilities=_capabilities(known),
            modified_at=timestamp(made.created_at if made else self._changed(known)),
        )

    @operation(takes=DeleteRequest, errors=(404, 409), error=OllamaError)
    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Delete a model's files, if they are in the appliance's own folder; of one that was made
        of another, its name and settings."""
        body, _ = decode_any_type(req, DeleteRequest)
        name = body.asked()
        try:
            known = self._models.offered_as(name)
        except ModelNotFound:
            delete_derived(self._pool, name)
        else:
            self._models.delete(known.id)

    def _entry(self, known: LocalModel, made: DerivedModel | None = None) -> OllamaModel:
        name = _tagged(made.name if made else known.id)
        return OllamaModel(
            name=name,
            model=name,
            modified_at=timestamp(made.created_at if made else self._changed(known)),
            size=known.size,
            digest=_digest(known, made),
            details=_details(known, made),
            capabilities=_capabilities(known),
        )

    def _changed(self, known: LocalModel) -> float:
        """Unix time in seconds."""
        try:
            return Path(known.path).stat().st_mtime if known.path else self._since
        except OSError:
            return self._since


def _tagged(id: str) -> str:
    return id if ":" in id else f"{id}:latest"


def _digest(known: LocalModel, made: DerivedModel | None = None) -> str:
    parts = f"{known.id}\n{known.size}".encode() + (msgspec.json.encode(made) if made else b"")
    return hashlib.sha256(parts).hexdigest()


def _parameters(options: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values as a Modelfile has them, a pair for each entry of a list."""
    return [
        # A text in quotes: clients split such lines at blanks.
        (name, json.dumps(one, ensure_ascii=False))
        for name, value in options.items()
        for one in (value if isinstance(value, list) else [value])
    ]


def _modelfile(known: LocalModel, made: DerivedModel | None) -> str:
    lines = [f"FROM {known.id}"]
    if made:
        lines += [f"PARAMETER {name} {value}" for name, value in _parameters(made.options)]
        lines += [f'SYSTEM """{made.system}"""'] if made.system else []
        lines += [f'MESSAGE {it.role} """{it.content}"""' for it in made.messages]
    return "\n".join(lines) + "\n"


def _details(known: LocalModel, made: DerivedModel | None = None) -> OllamaDetails:
    family = known.architecture or "unknown"
    return OllamaDetails(
        parent_model=known.id if made else "",
        family=family,
        families=[family],
        parameter_size=_short(known.parameters),
        quantization_level=known.quantization or "unknown",
    )


def _short(count: int) -> str:
    """`134.52M`, `7.6B`."""
    if count >= 10**9:
        return f"{count / 10**9:.1f}B"
    return f"{count / 10**6:.2f}M"


def _capabilities(known: LocalModel) -> list[str]:
    return capabilities(embeds=known.embeds, tools=known.tools, thinks=known.thinks)


def _header(known: LocalModel) -> GgufHeader | None:
    try:
        return read_model(Path(known.path)) if known.path else None
    except (BadModelFile, OSError):
        return None


def _model_info(known: LocalModel, header: GgufHeader | None) -> dict[str, Any]:
    architecture = known.architecture or "unknown"
    info: dict[str, Any] = {
        "general.architecture": architecture,
        "general.basename": known.name,
        "general.parameter_count": known.parameters,
        f"{architecture}.context_length": known.context_length or known.n_ctx or 0,
    }
    if header is None:
        return info
    facts: dict[str, Any] = {name: _number(value) for name, value in header.details.items()}
    facts |= {
        "context_length": header.context_length,
        "embedding_length": header.embedding_length,
        "block_count": header.block_count,
        "attention.head_count": _number(header.head_count),
        "attention.head_count_kv": _number(header.head_count_kv),
    }
    info |= {f"{architecture}.{name}": value for name, value in facts.items()}
    info |= {"tokenizer.ggml.tokens": None, "tokenizer.ggml.merges": None}
    return info


def _number(value: int | tuple[int, ...]) -> int | list[int]:
    """One number if all layers have the same."""
    if isinstance(value, int):
        return value
    return value[0] if len(set(value)) == 1 else list(value)
