"""Where model files are, and which file a configured model refers to."""

from pathlib import Path

from appliance.config import environment, paths
from appliance.config.schema import AvailableModel, Config
from appliance.errors import ModelNotFound
from appliance.models.catalog import catalog
from appliance.models.local.sources import ModelSource, Owner, candidates

OTHER_WEIGHTS = (".safetensors", ".bin")
"""Endings of weights that other programs run."""


def places(config: Config) -> list[ModelSource]:
    """Where to look for model files, our own folder first.

    Raises:
        ConfigError: the folder of models cannot be made.
    """
    found = [ModelSource("appliance", paths.models_dir(config))]
    found += [ModelSource("folder", Path(name).expanduser()) for name in config.models.folders]
    if config.models.find_elsewhere:
        found += environment_places()
    return found


def environment_places() -> list[ModelSource]:
    """Where other programs of this user have theirs."""
    owners: dict[str, Owner] = {
        "huggingface": "huggingface",
        "lmstudio": "lmstudio",
        "ollama": "ollama",
        "llama.cpp": "llama.cpp",
    }
    return [ModelSource(owners[owner], folder) for owner, folder in environment.model_folders()]


def hub_name(model: AvailableModel) -> str:
    """What a model without a path is called in the catalogue or on the hub; empty: it is the one
    that came with the appliance, or runs elsewhere."""
    if model.path or model.upstream:
        return ""
    return next((name for name in (model.id, model.name) if name and catalog.repos(name)), "")


def install_hint(model: AvailableModel) -> str:
    """What gets a model that is not here; empty: nothing that we could do."""
    name = hub_name(model)
    return catalog.install_hint(name, model.quantization) if name else ""


def model_file(config: Config, model: AvailableModel) -> Path:
    """The file of a model of `config` that runs here.

    Raises:
        ModelNotFound: it is not here; the message says what gets it, if anything does.
        ConfigError: the folder of models cannot be made.
    """
    name = hub_name(model)
    if not name:
        return paths.model_file(config, model)
    here = {
        candidate.path: candidate.repo
        for place in places(config)
        for candidate in candidates(place)
        if candidate.repo and not candidate.missing
    }
    found = catalog.found_here(name, model.quantization, here)
    if found is None:
        other = other_format(model)
        if other is not None:
            raise ModelNotFound(
                f"The weights of {model.id} are in {other}, in another format. llama.cpp needs"
                f" GGUF: {install_hint(model)}"
            )
        raise ModelNotFound(f"{model.id} is not downloaded yet: {install_hint(model)}")
    return found


def other_format(model: AvailableModel) -> Path | None:
    """The folder of the Hugging Face cache that has a model's weights, as safetensors or PyTorch's;
    None: there is none."""
    for place in environment_places():
        for name in filter(None, (model.name, model.id)):
            folder = place.folder / f"models--{name.replace('/', '--')}"
            if place.owner != "huggingface" or "/" not in name or not folder.is_dir():
                continue
            snapshots = folder / "snapshots"
            if any(True for ending in OTHER_WEIGHTS for _ in snapshots.glob(f"*/*{ending}")):
                return folder
    return None
