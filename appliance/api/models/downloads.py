"""The catalogue, and downloads, which belong to the service and not to a caller."""

from typing import Annotated

import falcon
import msgspec
from msgspec import Meta

from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import Body, decode, decode_query
from appliance.models.catalog import catalog, names
from appliance.models.catalog.catalog import CatalogModel
from appliance.models.hub.client import HubModel
from appliance.models.hub.downloads import DownloadStatus
from appliance.models.library import ModelLibrary
from appliance.models.memory.fit import Fits

operation = Operations("Models")

OVERHEAD = 1.25
"""Bytes of memory that a model takes for each byte of its file, roughly, with a short context."""


class CatalogueQuery(msgspec.Struct, frozen=True):
    """The query of `GET /api/catalogue`."""

    q: Annotated[str, Meta(max_length=200)] = ""


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A recommended model."""

    model: CatalogModel
    fits: Fits
    """Estimated from the size of its file."""
    downloaded: bool
    """Some file of its repository is on this machine."""


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The bundled list, or the results of a search in it and on the hub."""

    models: list[Suggestion]
    quick_bytes: int
    """Size of the largest model that this machine generates with at about reading speed."""
    hub: tuple[HubModel, ...]
    """Empty if there was no search."""
    offline: bool
    """The hub may not be used."""


class DownloadIn(Body, kw_only=True, frozen=True):
    """`POST /api/downloads`."""

    model: Annotated[str, Meta(min_length=1, max_length=300)]
    """`NAME`, `NAME:QUANTIZATION`, `OWNER/NAME/FILE.gguf`, or the address of one of these."""
    quantization: Annotated[str, Meta(max_length=200)] = ""
    """`q4`, `q8`, `bf16`, a GGUF quantization, or a file."""


class DownloadList(msgspec.Struct, frozen=True):
    """All downloads, the oldest first."""

    downloads: tuple[DownloadStatus, ...]
    unreadable: tuple[str, ...]
    """Ids of earlier ones that cannot be resumed: what was kept of them is damaged. Their folders
    below `.downloads` are left alone."""


class CatalogueResource:
    """`/api/catalogue`"""

    def __init__(self, library: ModelLibrary) -> None:
        self._library = library

    @operation(gives=Catalogue, query=CatalogueQuery)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Recommended models; with `q`, those that match the words, and what the hub finds."""
        text = decode_query(req, CatalogueQuery).q.strip()
        hub = self._library.hub
        here = {entry.repo.lower() for entry in self._library.index.entries()}
        found = catalog.search(text) if text else catalog.listed()
        resp.media = Catalogue(
            models=[
                Suggestion(
                    model=model, fits=self._fits(model), downloaded=model.repo.lower() in here
                )
                for model in found
            ],
            quick_bytes=self._library.machine.quick(),
            hub=hub.search(text) if text and not hub.offline else (),
            offline=hub.offline,
        )

    def _fits(self, model: CatalogModel) -> Fits:
        machine = self._library.machine
        need, memory, gpu = int(model.size * OVERHEAD), machine.memory(), machine.gpu()
        if need <= (gpu or memory):
            return "fits"
        return "partly" if model.size <= memory + gpu else "too_big"


class DownloadsResource:
    """`/api/downloads` and below"""

    def __init__(self, library: ModelLibrary) -> None:
        self._downloads = library.downloads
        self._hub_names = library.hub_names

    @operation(gives=DownloadList)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All downloads."""
        resp.media = DownloadList(self._downloads.list(), self._downloads.unreadable)

    @operation(takes=DownloadIn, gives=DownloadStatus, status=201, errors=(404, 409, 507))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start downloading a model, or resume; a configured model also by its id."""
        body = decode(req, DownloadIn)
        name, quantization = names.parse(self._hub_names.get(body.model, body.model))
        download = self._downloads.add(name, body.quantization or quantization)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/downloads/{download.id}"
        resp.media = download

    @operation(gives=DownloadStatus)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, download_id: str) -> None:
        """One download."""
        resp.media = self._downloads.find(download_id)

    @operation(gives=DownloadStatus, errors=(409,))
    def on_post_pause(self, req: falcon.Request, resp: falcon.Response, download_id: str) -> None:
        """Pause, and keep what has arrived."""
        resp.media = self._downloads.pause(download_id)

    @operation(gives=DownloadStatus, errors=(409, 507))
    def on_post_resume(self, req: falcon.Request, resp: falcon.Response, download_id: str) -> None:
        """Resume a download that is paused or failed."""
        resp.media = self._downloads.resume(download_id)

    @operation(gives=DownloadStatus, errors=(409,))
    def on_post_cancel(self, req: falcon.Request, resp: falcon.Response, download_id: str) -> None:
        """Cancel, and keep nothing."""
        resp.media = self._downloads.cancel(download_id)
