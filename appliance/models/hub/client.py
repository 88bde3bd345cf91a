"""The client of the model hub, over its own library, used on request only.

The library also downloads, but its present version starts over whenever it is interrupted
(`file_download._download_to_tmp_and_move` throws the partial file away) and compares no hash: what
is promised of downloads needs `file_transfer.py`.
"""

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from appliance import __version__
from appliance.config.schema import HubSettings
from appliance.errors import HubUnavailable, ModelNotFound, RequestError
from appliance.models.catalog import catalog, names
from appliance.models.hub.reachable import in_words, why_unreachable

TIMEOUT_SECONDS = 30.0
MOST_FOUND = 50


class RepoFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a repository."""

    path: str
    size: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    """Only for large files."""
    blob: Annotated[str, Meta(pattern="^[0-9a-f]{40}$")]
    """Git's hash, of all files: SHA-1 over a short head and the content. Of large files it is over
    something else, and does not count."""


class Repo(msgspec.Struct, frozen=True, kw_only=True):
    """A repository as it is now."""

    id: str
    revision: Annotated[str, Meta(pattern="^[0-9a-f]{40}$")]
    """The commit: what it names cannot change any more."""
    licence: str
    files: tuple[RepoFile, ...]
    """GGUF files alone."""


class HubModel(msgspec.Struct, frozen=True, kw_only=True):
    """A repository that a search found."""

    repo: str
    licence: str
    downloads: int
    likes: int
    gated: bool
    """Who wants it must accept its terms on the hub first."""


class Hub:
    """The hub, or whatever `HF_ENDPOINT` names in its place. Thread-safe."""

    def __init__(self, settings: HubSettings) -> None:
        self._settings = settings

    @property
    def offline(self) -> bool:
        """No requests to it."""
        return self._settings.offline

    def repo(self, repo: str) -> Repo:
        """What is in a repository.

        Raises:
            ModelNotFound: there is none, or the token may not see it.
            HubUnavailable: it does not answer, or not in a way that makes sense.
            RequestError: it wants a token, or its terms accepted.
        """
        names.check_repo(repo)
        with self._asking(repo):
            info = self._api().model_info(repo, files_metadata=True, timeout=TIMEOUT_SECONDS)
            files = [
                {
                    "path": sibling.rfilename,
                    "size": sibling.lfs.size if sibling.lfs else sibling.size,
                    "sha256": sibling.lfs.sha256 if sibling.lfs else "",
                    "blob": sibling.blob_id,
                }
                for sibling in info.siblings or []
                if sibling.rfilename.lower().endswith(".gguf")
            ]
            found = {
                # Only its spelling is taken from the answer: folders are named by it.
                "id": info.id if str(info.id).lower() == repo.lower() else repo,
                "revision": info.sha,
                "licence": _licence(info.tags),
                "files": files,
            }
            return msgspec.convert(found, Repo)

    def resolve(self, name: str, wanted: str) -> tuple[Repo, tuple[RepoFile, ...]]:
        """The files of a model, all that it is spread over.

        Args:
            name: of a model or a repository, or the catalogue's id.
            wanted: its quantization or file; see `names.choose`.

        Raises:
            ModelNotFound: the hub has no GGUF of it, or none in that quantization.
            HubUnavailable, RequestError: see `repo`.
        """
        known = catalog.find(name)
        repos = catalog.repos(name)
        if not repos:
            raise ModelNotFound(
                f"{name!r} is not in the catalogue; models of the hub are called OWNER/NAME",
                param="model",
            )
        offered: list[str] = []
        for candidate in repos:
            try:
                repo = self.repo(candidate)
            except ModelNotFound:
                continue
            files = {file.path: file for file in repo.files}
            offered += files
            recommended = known.quantization if known else ""
            chosen = names.choose(files, wanted or recommended)
            if chosen is None and not wanted:
                chosen = names.choose(files, "")
            if chosen is None:
                continue
            parts = names.all_parts(chosen)
            if all(part in files for part in parts):
                return repo, tuple(files[names.check_file(part)] for part in parts)
        there = sorted({q for q in map(names.quantization, offered) if q})
        if there:
            why = f"{name} has no GGUF file {wanted!r}; there are {', '.join(there)}"
        else:
            why = f"nobody has GGUF files of {name} under {' or '.join(repos)}"
        raise ModelNotFound(why, param="model")

    def search(self, text: str) -> tuple[HubModel, ...]:
        """Repositories of GGUF files, those that most people take first.

        Raises:
            HubUnavailable: it does not answer, or not in a way that makes sense.
        """
        with self._asking(text):
            found = [
                {
                    "repo": info.id,
                    "licence": _licence(info.tags),
                    "downloads": info.downloads or 0,
                    "likes": info.likes or 0,
                    "gated": bool(info.gated),
                }
                for info in self._api().list_models(
                    search=text, filter="gguf", sort="downloads", limit=MOST_FOUND
                )
            ]
            return msgspec.convert(found, tuple[HubModel, ...])

    def address(self, repo: Repo, file: RepoFile) -> str:
        """Where a file is."""
        from huggingface_hub import hf_hub_url

        endpoint = self._settings.endpoint
        return hf_hub_url(repo.id, file.path, revision=repo.revision, endpoint=endpoint)

    def headers(self) -> dict[str, str]:
        """For the hub alone: they must not follow a redirect to another host."""
        token = self._token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def check_online(self) -> None:
        """Nothing, if requests to the hub are allowed.

        Raises:
            HubUnavailable: it may not.
        """
        if self.offline:
            raise HubUnavailable("nothing is asked of the hub: HF_HUB_OFFLINE says so")

    def _token(self) -> str:
        if self._settings.token or self._settings.token_file is None:
            return self._settings.token
        try:
            return self._settings.token_file.read_text("utf-8").strip()
        except (OSError, ValueError):
            return ""

    def _api(self) -> Any:
        from huggingface_hub import HfApi

        _tame()
        return HfApi(
            endpoint=self._settings.endpoint,
            token=self._token() or False,
            library_name="appliance",
            library_version=__version__,
        )

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """The library's errors as ours."""
        self.check_online()
        if why := why_unreachable(self._settings.endpoint):
            raise HubUnavailable(f"the hub can't be reached: {why}")
        import httpx2
        from huggingface_hub import errors

        try:
            yield
        except errors.GatedRepoError as ex:
            raise RequestError(
                f"{what} is only for those who accepted its terms at {self._settings.endpoint}/"
                f"{what}, with the token in HF_TOKEN",
                param="model",
            ) from ex
        except errors.RepositoryNotFoundError as ex:
            raise ModelNotFound(
                f"the hub has no {what}, or keeps it from this token", param="model"
            ) from ex
        except errors.HfHubHTTPError as ex:
            raise HubUnavailable(f"the hub refused: {_first_line(ex)}") from ex
        except (errors.OfflineModeIsEnabled, httpx2.HTTPError, OSError) as ex:
            raise HubUnavailable(
                f"the hub at {self._settings.endpoint} can't be reached: {in_words(ex)}"
            ) from ex
        except (ValueError, LookupError, TypeError, AttributeError) as ex:
            raise HubUnavailable(
                f"what the hub at {self._settings.endpoint} says makes no sense: {_first_line(ex)}"
            ) from ex


@cache
def _tame() -> None:
    """The library's own client, one for all threads, waits for ever; and before the first question
    it would ask another one of its own, of which program this is, and keep the answer."""
    import httpx2
    from huggingface_hub import constants, set_client_factory

    constants.HF_HUB_DISABLE_TELEMETRY = True
    set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=TIMEOUT_SECONDS))


def _licence(tags: list[str] | None) -> str:
    return next((t.partition(":")[2] for t in tags or [] if t.startswith("license:")), "")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]
