"""llama-server's requests. Fields that aren't here are ignored."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from appliance.api.dialects.openai.schemas import OpenAIRequest, TokenId
from appliance.api.dialects.openai.tools import Tools
from appliance.api.wire.lenient import Lenient
from appliance.errors import RequestError

Texts = Annotated[list[str], Meta(min_length=1, max_length=2048)]


class TokenizeIn(Lenient, kw_only=True, frozen=True):
    """`POST /tokenize`."""

    content: str
    model: str | None = None
    add_special: bool = False
    """With the token that a prompt begins with."""
    parse_special: bool = True
    with_pieces: bool = False


class DetokenizeIn(Lenient, kw_only=True, frozen=True):
    """`POST /detokenize`."""

    tokens: Annotated[list[TokenId], Meta(max_length=1_000_000)]
    model: str | None = None


class TemplateIn(Lenient, kw_only=True, frozen=True):
    """`POST /apply-template`: what decides of a chat's prompt."""

    messages: Annotated[list[Any], Meta(min_length=1, max_length=4096)]
    """As in `POST /v1/chat/completions`, like `tools`."""
    model: str | None = None
    tools: Tools | None = None


class LlamaCompletionRequest(OpenAIRequest, kw_only=True, frozen=True, forbid_unknown_fields=False):
    """`POST /completion`."""

    NOT_HERE: ClassVar[Mapping[str, Any]] = {
        **OpenAIRequest.NOT_HERE,
        "post_sampling_probs": False,
    }

    prompt: str | list[TokenId]
    n_probs: Annotated[int, Meta(ge=0, le=20)] | None = None
    """So many of the likeliest tokens are reported beside each sampled one."""

    def extra_params(self) -> dict[str, Any]:
        return {**super().extra_params(), "logprobs": self.n_probs or None}


class InputFile(Lenient, kw_only=True, frozen=True):
    """Another file that the model is shown."""

    text: str
    filename: str = "tmp"


class InfillRequest(OpenAIRequest, kw_only=True, frozen=True, forbid_unknown_fields=False):
    """`POST /infill`."""

    input_prefix: str
    input_suffix: str
    input_extra: Annotated[list[InputFile], Meta(max_length=256)] | None = None
    """The first ones are left out if they don't fit."""
    prompt: str = ""
    """More of the beginning."""


class RankedText(Lenient, kw_only=True, frozen=True):
    """A document."""

    text: str


class RerankRequest(Lenient, kw_only=True, frozen=True):
    """`POST /v1/rerank`, as Jina, Cohere and llama-server have it, and `/rerank` of others."""

    query: Annotated[str, Meta(min_length=1)]
    model: str | None = None
    documents: Annotated[list[str | RankedText], Meta(min_length=1, max_length=2048)] | None = None
    texts: Texts | None = None
    """Another name of `documents`: then the answer is a list of `index` and `score`."""
    top_n: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    """How many are reported, the best ones."""
    return_documents: bool | None = None
    return_text: bool | None = None
    """The same with `texts`."""

    def candidates(self) -> list[str]:
        """The documents' texts.

        Raises:
            RequestError: there are none.
        """
        given = self.documents if self.documents is not None else self.texts
        if given is None:
            raise RequestError("documents is missing", param="documents")
        return [it if isinstance(it, str) else it.text for it in given]
