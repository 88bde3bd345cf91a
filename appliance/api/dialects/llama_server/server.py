"""llama-server's API: what it says about itself."""

from pathlib import Path
from typing import Any

import falcon
import msgspec

from appliance.api.dialects.llama_server.answers import Modalities, ServerProps, SlotState
from appliance.api.dialects.openai.models import OfferedModels
from appliance.api.openapi.operation import Operations
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.engine.types import DEFAULT_SAMPLERS, SamplingParams
from appliance.errors import BadModelFile
from appliance.models.gguf.shards import read_model

operation = Operations("llama-server")


class ServerState:
    """`/props` and `/slots`"""

    def __init__(self, pool: Pool, models: OfferedModels, version: str) -> None:
        self._pool = pool
        self._models = models
        self._version = version

    @operation(gives=ServerProps, errors=(404,))
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The default model, or the one that `?model=` names, and how replies are generated."""
        model = self._pool.find(req.get_param("model"))
        known = self._models.offered_as(model.id)
        # Those that are off are shown as well.
        params = msgspec.structs.asdict(SamplingParams(**model.spec.sampling))
        params["samplers"] = list(params["samplers"] or DEFAULT_SAMPLERS)
        params.pop("max_tokens")
        resp.media = ServerProps(
            default_generation_settings={
                "n_ctx": known.n_ctx or known.context_length,
                "params": _shown(params),
            },
            total_slots=_slots(model),
            model_alias=known.id,
            model_path=Path(known.path).name if known.path else "",
            chat_template=_template(known.path),
            modalities=Modalities(),
            build_info=f"appliance {self._version}",
            is_sleeping=model.state.status != "ready",
        )

    @operation(gives=list[SlotState], errors=(404,))
    def on_get_slots(self, req: falcon.Request, resp: falcon.Response) -> None:
        """How many sequences run together, and how many do now; not what they are about."""
        model = self._pool.find(req.get_param("model"))
        info = model.state.model
        running = model.counters.running
        resp.media = [
            SlotState(id=i, n_ctx=info.n_ctx if info else 0, is_processing=i < running)
            for i in range(_slots(model))
        ]


def _slots(model: ServedModel) -> int:
    info = model.state.model
    return info.n_seq_max if info else 0


def _template(path: str | None) -> str:
    try:
        return (path and read_model(Path(path)).chat_template) or ""
    except (BadModelFile, OSError):
        return ""


def _shown(params: dict[str, Any]) -> dict[str, Any]:
    """Without what a request alone has."""
    hidden = {"logit_bias", "grammar", "json_schema", "logprobs", "seed"}
    return {name: value for name, value in params.items() if name not in hidden}
