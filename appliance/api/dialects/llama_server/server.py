"""llama-server's API: what it says about itself."""

from pathlib import Path

import falcon

from appliance.api.dialects.llama_server.answers import Modalities, ServerProps, SlotState
from appliance.api.dialects.llama_server.settings import shown_settings
from appliance.api.dialects.openai.models import OfferedModels
from appliance.api.openapi.operation import Operations
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.engine.types import SamplingParams
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
        params = shown_settings(SamplingParams(**model.spec.sampling))
        info = model.state.model
        resp.media = ServerProps(
            default_generation_settings={
                "n_ctx": known.n_ctx or known.context_length,
                "params": params,
            },
            total_slots=_slots(model),
            model_alias=known.id,
            model_path=Path(known.path).name if known.path else "",
            chat_template=_template(known.path),
            bos_token=info.bos if info else "",
            eos_token=info.eos if info else "",
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
