"""Everything there is to know of model files, in one hand."""

import msgspec

from appliance.models.downloads import Downloads
from appliance.models.facts import Machine
from appliance.models.hub import Hub
from appliance.models.shelf import Shelf


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """The shelf, and what comes to stand on it."""

    shelf: Shelf
    machine: Machine
    hub: Hub
    downloads: Downloads
    remedies: dict[str, str]
    """What gets a configured model whose file is not here, by its id."""
