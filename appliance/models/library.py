"""What the API needs to know about model files."""

import msgspec

from appliance.models.hub.client import Hub
from appliance.models.hub.downloads import Downloads
from appliance.models.local.index import ModelIndex
from appliance.models.memory.fit import Machine


class ModelLibrary(msgspec.Struct, frozen=True, kw_only=True):
    """The index of files on this machine, and what can be had besides."""

    index: ModelIndex
    machine: Machine
    hub: Hub
    downloads: Downloads
    install_hints: dict[str, str]
    """What gets a configured model whose file is not here, by its id."""
    hub_names: dict[str, str]
    """What configured models are called on the hub, with the quantization, by their ids."""
