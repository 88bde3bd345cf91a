"""Every error that the appliance raises on purpose.

    ApplianceError
    ├── ConfigError                 invalid_config            exit code 78
    ├── RequestError                invalid_request           the caller's to mend
    │   ├── ContextLengthExceeded   context_length_exceeded
    │   ├── PreviousResponseNotFound  previous_response_not_found
    │   ├── NotFound                not_found
    │   │   ├── ModelNotFound       model_not_found
    │   │   ├── SessionNotFound     session_not_found
    │   │   └── MessageNotFound     message_not_found
    │   ├── Conflict                conflict
    │   │   ├── ReplyInProgress     reply_in_progress
    │   │   └── TooManySessions     too_many_sessions
    │   └── NotAllowed              not_allowed               the caller may not do this
    │       ├── Unauthorized        unauthorized
    │       ├── WrongHost           wrong_host
    │       ├── WrongOrigin         wrong_origin
    │       └── TooManyRequests     rate_limit_exceeded
    │           └── TooManyBadKeys  too_many_bad_keys
    ├── Unavailable                 unavailable               true now, try again
    │   ├── ModelLoading            model_loading
    │   ├── ModelLoadFailed         model_load_failed
    │   │   ├── BadModelFile        bad_model_file
    │   │   └── ModelNotDownloaded  model_not_downloaded
    │   ├── WorkerDied              worker_died
    │   ├── HubUnavailable          hub_unavailable
    │   ├── DownloadFailed          download_failed
    │   ├── QueueFull               queue_full
    │   ├── ShuttingDown            shutting_down
    │   └── VaultUnavailable        vault_unavailable
    ├── StoreError                  store_error
    │   ├── StoreFull               store_full
    │   ├── StoreReadOnly           store_read_only
    │   └── StoreTooNew             store_too_new
    ├── NoSpace                     no_space                  a model does not fit on the disk
    └── InternalError               internal_error            ours to mend

`code` is stable: clients switch on it, and it crosses the border between processes. HTTP statuses
are the business of `http/errors.py`.
"""

import re
from typing import ClassVar


class ApplianceError(Exception):
    """Base of the tree. `str(error)` is one plain sentence for a person."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """`param` names the request field or configuration key at fault, if there is one."""
        super().__init__(message)
        self.message = message
        self.param = param


class ConfigError(ApplianceError):
    """The configuration cannot be used; `param` names the key."""

    code = "invalid_config"


class RequestError(ApplianceError):
    """The request cannot be served as it is; sending it again unchanged will not help."""

    code = "invalid_request"


class ContextLengthExceeded(RequestError):
    """The prompt does not fit into the context; the message carries both numbers."""

    code = "context_length_exceeded"

    @property
    def lengths(self) -> tuple[int, int] | None:
        """Tokens of the prompt, and of the context; None: the message is of another server's and
        doesn't say."""
        found = re.search(r"the prompt has (\d+) tokens, and the context holds (\d+)", self.message)
        return (int(found[1]), int(found[2])) if found else None


class PreviousResponseNotFound(RequestError):
    """The response that another was to continue does not exist."""

    code = "previous_response_not_found"


class NotFound(RequestError):
    """There is no such thing."""

    code = "not_found"


class ModelNotFound(NotFound):
    """No model goes by that name."""

    code = "model_not_found"


class SessionNotFound(NotFound):
    """No session has that id."""

    code = "session_not_found"


class MessageNotFound(NotFound):
    """No message has that id in that session."""

    code = "message_not_found"


class Conflict(RequestError):
    """The request is well formed, but not possible in the present state."""

    code = "conflict"


class ReplyInProgress(Conflict):
    """The session is still being answered."""

    code = "reply_in_progress"


class TooManySessions(Conflict):
    """There are as many sessions as the configuration allows."""

    code = "too_many_sessions"


class NotAllowed(RequestError):
    """The caller does not have permission."""

    code = "not_allowed"


class Unauthorized(NotAllowed):
    """It takes a key, and there was none, or not a good one."""

    code = "unauthorized"


class WrongHost(NotAllowed):
    """The request names a host that this is not: a name that was made to point here, maybe."""

    code = "wrong_host"


class WrongOrigin(NotAllowed):
    """The request comes from a web page of another origin."""

    code = "wrong_origin"


class TooManyRequests(NotAllowed):
    """More in a minute than the key or the address may ask."""

    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, param: str | None = None, retry_after: int = 60) -> None:
        """`retry_after`: seconds until it makes sense to ask again."""
        super().__init__(message, param=param)
        self.retry_after = retry_after


class TooManyBadKeys(TooManyRequests):
    """A client at this address seems to be guessing keys."""

    code = "too_many_bad_keys"


class Unavailable(ApplianceError):
    """The request is fine, and trying again later can help."""

    code = "unavailable"


class ModelLoading(Unavailable):
    """The model is not ready yet."""

    code = "model_loading"


class ModelLoadFailed(Unavailable):
    """The model could not be loaded; the message says why."""

    code = "model_load_failed"


class BadModelFile(ModelLoadFailed):
    """The file is not a model that can be loaded; the message says what is wrong and where."""

    code = "bad_model_file"


class ModelNotDownloaded(ModelLoadFailed):
    """The model's file is not on this machine; the message says what gets it."""

    code = "model_not_downloaded"


class WorkerDied(Unavailable):
    """The process that ran the model ended in the middle of the request."""

    code = "worker_died"


class HubUnavailable(Unavailable):
    """The model hub does not answer, or requests to it are off."""

    code = "hub_unavailable"


class DownloadFailed(Unavailable):
    """A file did not arrive as it should be; nothing of it is used."""

    code = "download_failed"


class QueueFull(Unavailable):
    """Too many requests are waiting already."""

    code = "queue_full"


class ShuttingDown(Unavailable):
    """The appliance is stopping and takes nothing new."""

    code = "shutting_down"

    def __init__(
        self, message: str = "the appliance is shutting down", *, param: str | None = None
    ) -> None:
        super().__init__(message, param=param)


class VaultUnavailable(Unavailable):
    """The place of the keys cannot be read or written; the message says what to do."""

    code = "vault_unavailable"


class StoreError(ApplianceError):
    """The database failed; nothing was half written."""

    code = "store_error"


class StoreFull(StoreError):
    """The disk is full."""

    code = "store_full"


class StoreReadOnly(StoreError):
    """The database can be read, but not written."""

    code = "store_read_only"


class StoreTooNew(StoreError):
    """The database was written by a newer version of the appliance."""

    code = "store_too_new"


class NoSpace(ApplianceError):
    """The disk has no room for a model; the message has the figures."""

    code = "no_space"


class InternalError(ApplianceError):
    """A fault of ours."""

    code = "internal_error"


def _tree(root: type[ApplianceError]) -> dict[str, type[ApplianceError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


def from_code(code: str, message: str, param: str | None = None) -> ApplianceError:
    """The error that `code` names; an unknown code gives `InternalError`."""
    return _tree(ApplianceError).get(code, InternalError)(message, param=param)
