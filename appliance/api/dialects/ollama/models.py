"""Ollama's API: models, their details, and which are loaded."""

import hashlib
import math
import time
from pathlib import Path
from typing import Any

import falcon
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
from appliance.api.dialects.ollama.schemas import DeleteRequest, ShowRequest
from appliance.api.dialects.ollama.served import ModelInventory, OllamaPool, not_found
from appliance.api.openapi.operation import Operations
from appliance.api.wire.lenient import decode_any_type
from appliance.engine.serving.pool import Pool
from appliance.errors import BadModelFile, ModelNotFound, RequestError
from appliance.models.gguf.header import GgufHeader
from appliance.models.gguf.shards import read_model
from appliance.models.local.abilities import capabilities
from appliance.models.local.summary import LocalModel

operation = Operations("Ollama")

VERSION = "0.17.6"
"""The version of Ollama's API that this implements. Clients refuse older ones."""
UNSUPPORTED = {
    "copy": "a model has no copies here; [models.aliases] in the configuration gives it more names",
    "create": "models are not made here: pull a GGUF file, and send the system prompt and the"
    " options with each request",
    "push": "nothing is uploaded from here",
}
"""Why, by the last word of the path."""
NEVER = "2318-01-01T00:00:00.000000Z"
"""When a model expires that doesn't."""


class OllamaModelResource:
    """`/api/version`, `/api/tags`, `/api/ps`, `/api/show`, `/api/delete`, and what isn't here."""

    error_format = staticmethod(ollama_error)

    def __init__(self, pool: Pool, models: ModelInventory) -> None:
        self._all = pool
        self._pool = OllamaPool(pool)
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
        known.sort(key=self._changed, reverse=True)
        resp.media = OllamaModels(models=[self._entry(model) for model in known])

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
        known = self._offered_as(body.asked())
        header = _header(known)
        context = known.n_ctx or known.context_length
        resp.media = ShownModel(
            license=known.licence,
            modelfile=f"FROM {known.id}\n",
            parameters=f"{'num_ctx':<30} {context}" if context else UNSET,
            template=(header and header.chat_template) or "",
            details=_details(known),
            model_info=_model_info(known, header),
            capabilities=_capabilities(known),
            modified_at=timestamp(self._changed(known)),
        )

    @operation(takes=DeleteRequest, errors=(404, 409), error=OllamaError)
    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Delete a model's files, if they are in the appliance's own folder."""
        body, _ = decode_any_type(req, DeleteRequest)
        self._models.delete(self._offered_as(body.asked()).id)

    @operation(takes=dict[str, Any], errors=(), error=OllamaError)
    def on_post_unsupported(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Ollama's copies, models made of others, and uploads, which aren't here: always 400."""
        raise RequestError(UNSUPPORTED[req.path.rpartition("/")[2]])

    def _offered_as(self, name: str) -> LocalModel:
        try:
            return self._models.offered_as(name)
        except ModelNotFound as ex:
            raise not_found(name) from ex

    def _entry(self, known: LocalModel) -> OllamaModel:
        name = _tagged(known.id)
        return OllamaModel(
            name=name,
            model=name,
            modified_at=timestamp(self._changed(known)),
            size=known.size,
            digest=_digest(known),
            details=_details(known),
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


def _digest(known: LocalModel) -> str:
    return hashlib.sha256(f"{known.id}\n{known.size}".encode()).hexdigest()


def _details(known: LocalModel) -> OllamaDetails:
    family = known.architecture or "unknown"
    return OllamaDetails(
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
