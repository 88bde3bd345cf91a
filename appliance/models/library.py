"""Everything there is to know of model files, in one hand."""

import msgspec

from appliance.models.hub.client import Hub
from appliance.models.hub.downloads import Downloads
from appliance.models.local.index import Shelf
from appliance.models.local.metadata_cache import Machine


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """The shelf, and what comes to stand on it."""

    shelf: Shelf
    machine: Machine
    hub: Hub
    downloads: Downloads
    remedies: dict[str, str]
    """What gets a configured model whose file is not here, by its id."""
