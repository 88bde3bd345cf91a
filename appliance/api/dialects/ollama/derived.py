"""Ollama's API: models that are made of others, with settings, or with another name alone."""

import falcon
import msgspec

from appliance.api.dialects.ollama.answers import OllamaError, OllamaPullProgress, ollama_error
from appliance.api.dialects.ollama.encoder import NDJSON, line
from appliance.api.dialects.ollama.schemas import CopyRequest, CreateRequest, NamedModel
from appliance.api.dialects.ollama.served import OllamaPool, not_found
from appliance.api.openapi.operation import Operations
from appliance.api.wire.headers import warn
from appliance.api.wire.lenient import decode_any_type
from appliance.engine.serving.model_names import comparable
from appliance.errors import Conflict, RequestError
from appliance.models.local.ollama_options import read_options
from appliance.store.callers.derived_models import DerivedMessage, DerivedModel

operation = Operations("Ollama")

MOST_CHARACTERS = 256 * 1024
"""Of all texts of one."""
LONGEST_NAME = 128


class OllamaDerived:
    """`/api/create` and `/api/copy`"""

    error_format = staticmethod(ollama_error)

    def __init__(self, pool: OllamaPool) -> None:
        self._pool = pool

    @operation(
        takes=CreateRequest,
        gives=OllamaPullProgress,
        streams=(OllamaPullProgress, OllamaError),
        stream_type=NDJSON,
        errors=(404, 409, 507),
        error=OllamaError,
    )
    def on_post_create(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Give a model that is here another name, with a system prompt, options and messages.

        Its file is used as it is. The name is known to Ollama's API alone.
        """
        body, ignored = decode_any_type(req, CreateRequest)
        name = body.asked()
        body.check()
        assert body.origin
        model, made = self._pool.resolve(body.origin)
        options = body.parameters or {}
        unused = read_options(options).ignored
        before = made or DerivedModel(name=name, base=model.id)
        messages = [DerivedMessage(it.role.lower(), it.content or "") for it in body.messages or ()]
        self._put(
            msgspec.structs.replace(
                before,
                name=name,
                system=before.system if body.system is None else body.system,
                options={**before.options, **options},
                messages=messages or before.messages,
                licence=body.licence or before.licence,
            )
        )
        steps = [OllamaPullProgress(status=it) for it in ("writing manifest", "success")]
        if body.stream is not False:
            resp.data, resp.content_type = b"".join(map(line, steps)), NDJSON
        else:
            resp.media = steps[-1]
        warn(resp, ignored, unused and unused.replace("options.", "parameters."))

    @operation(takes=CopyRequest, errors=(404, 409, 507), error=OllamaError)
    def on_post_copy(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Give a model another name; nothing is copied on the disk."""
        body, ignored = decode_any_type(req, CopyRequest)
        model, made = self._pool.resolve(body.source)
        before = made or DerivedModel(name="", base=model.id)
        self._put(msgspec.structs.replace(before, name=body.destination))
        warn(resp, ignored)

    @operation(takes=NamedModel, errors=(), error=OllamaError)
    def on_post_push(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Always 400: nothing is uploaded from here."""
        raise RequestError("nothing is uploaded from here")

    def _put(self, model: DerivedModel) -> None:
        name = model.name
        if not name.isprintable() or name.strip() != name or len(name) > LONGEST_NAME:
            raise RequestError(
                f"a name has at most {LONGEST_NAME} printable characters", param="model"
            )
        if (
            sum(map(len, (model.system, model.licence, *(it.content for it in model.messages))))
            > (MOST_CHARACTERS)
            or len(msgspec.json.encode(model.options)) > MOST_CHARACTERS
        ):
            raise RequestError(
                f"its texts have more than {MOST_CHARACTERS} characters", param="system"
            )
        if self._pool.is_taken(name):
            raise Conflict(f"there is a model {name!a} already", param="model")
        self._pool.derived.put(comparable(name), model)


def delete_derived(pool: OllamaPool, name: str) -> None:
    """
    Raises:
        ModelNotFound: there is none of that name.
    """
    if not pool.derived.remove(comparable(name)):
        raise not_found(name)
