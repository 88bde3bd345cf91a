"""Files and batches, as OpenAI's API has them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from appliance.api.wire.lenient import Lenient
from appliance.store.callers.batches import WINDOW_SECONDS, BatchState, BatchStatus, StoredFile

Endpoint = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"]
Key = Annotated[str, Meta(max_length=64)]
Value = Annotated[str, Meta(max_length=512)]
Id = Annotated[str, Meta(max_length=128)]


class UploadForm(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /v1/files`."""

    purpose: Literal["batch"]
    file: Annotated[str, Meta(extra_json_schema={"format": "binary"})]
    """One request a line."""


class FileObject(msgspec.Struct, frozen=True, kw_only=True):
    """A file, without its content."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"

    @classmethod
    def of(cls, file: StoredFile) -> "FileObject":
        """As it is stored."""
        return cls(
            id=file.id,
            bytes=file.bytes,
            created_at=file.created_at,
            filename=file.name,
            purpose=file.purpose,
        )


class FileList(msgspec.Struct, frozen=True, kw_only=True):
    """Some files, the newest first."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedFile(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a deletion."""

    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class FilesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query of `GET /v1/files`."""

    purpose: str = ""
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    order: Literal["asc", "desc"] = "desc"
    after: Id = ""


class BatchesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query of `GET /v1/batches`."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    after: Id = ""


class NewBatch(Lenient, kw_only=True, frozen=True):
    """`POST /v1/batches`."""

    input_file_id: Id
    endpoint: Endpoint
    completion_window: Literal["24h"] = "24h"
    metadata: Annotated[dict[Key, Value], Meta(max_length=16)] | None = None


class BatchRequest(Lenient, kw_only=True, frozen=True):
    """A line of a batch's file."""

    custom_id: Annotated[str, Meta(min_length=1, max_length=512)]
    method: Literal["POST"] = "POST"
    url: str
    body: dict[str, Any]


class BatchError(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a line of a batch's file."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None
    """From 1; None: it is the whole file."""


class BatchErrors(msgspec.Struct, frozen=True, kw_only=True):
    """All that is wrong with a batch's file."""

    object: Literal["list"] = "list"
    data: list[BatchError]


class RequestCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of a batch."""

    total: int
    completed: int
    failed: int


class BatchObject(msgspec.Struct, frozen=True, kw_only=True):
    """A batch."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: BatchErrors | None
    input_file_id: str
    completion_window: str = "24h"
    status: BatchStatus
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None

    @classmethod
    def of(cls, state: BatchState) -> "BatchObject":
        """As it is stored."""
        ended = {f"{state.status}_at": state.ended_at}
        errors = msgspec.convert(state.errors, list[BatchError])
        return cls(
            id=state.id,
            endpoint=state.endpoint,
            errors=BatchErrors(data=errors) if errors else None,
            input_file_id=state.input_file_id,
            status=state.status,
            output_file_id=state.output_file_id,
            error_file_id=state.error_file_id,
            created_at=state.created_at,
            in_progress_at=None if state.status == "failed" else state.created_at,
            expires_at=state.created_at + WINDOW_SECONDS,
            finalizing_at=ended.get("completed_at"),
            completed_at=ended.get("completed_at"),
            failed_at=ended.get("failed_at"),
            expired_at=ended.get("expired_at"),
            cancelling_at=state.cancelling_at,
            cancelled_at=ended.get("cancelled_at"),
            request_counts=RequestCounts(
                total=state.total, completed=state.completed, failed=state.failed
            ),
            metadata=state.metadata or None,
        )


class BatchList(msgspec.Struct, frozen=True, kw_only=True):
    """Some batches, the newest first."""

    object: Literal["list"] = "list"
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
