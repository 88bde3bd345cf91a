"""The command line: what it says about itself, and how it ends when the configuration is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import __version__

EX_CONFIG = 78


def appliance(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs the command with `folder` as home, so that nobody's own configuration counts."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("APPLIANCE_", "XDG_"))}
    return subprocess.run(
        [sys.executable, "-m", "appliance", *arguments],
        env=clean | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version(tmp_path: Path) -> None:
    assert __version__ in appliance("--version", folder=tmp_path).stdout


def test_help_names_the_flags(tmp_path: Path) -> None:
    shown = appliance("serve", "--help", folder=tmp_path).stdout
    assert all(flag in shown for flag in ("--config", "--host", "--port", "--open / --no-open"))


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--port", "99999"], {}, "server.port"),
        (["--port", "many"], {}, "server.port"),
        (["--config", "none.toml"], {}, "none.toml"),
        ([], {"APPLIANCE_ENGINE_N_CTX": "-1"}, "engine.n_ctx"),
        ([], {"APPLIANCE_ENGINE_NCTX": "1"}, "APPLIANCE_ENGINE_NCTX"),
        ([], {"SERVER_PORT": "x"}, "server.port"),
    ],
)
def test_wrong_setting_ends_with_78_and_one_line(
    arguments: list[str], environ: dict[str, str], said: str, tmp_path: Path
) -> None:
    done = appliance("serve", *arguments, folder=tmp_path, **environ)

    assert done.returncode == EX_CONFIG
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_file_in_the_configuration_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "appliance"
    folder.mkdir()
    (folder / "config.toml").write_text("[sever]\n")

    done = appliance("serve", folder=tmp_path)

    assert done.returncode == EX_CONFIG
    assert "sever: there is no such key" in done.stderr
