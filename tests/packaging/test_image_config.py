"""The container image's configuration, without building an image."""

import re
from typing import Any

import pytest

import debian
import image
import packages
from appliance.config.loader import load

COMPOSE = packages.ROOT / "packaging/container/compose.yaml"


@pytest.fixture
def described() -> dict[str, Any]:
    return image.config("arm64", ["0" * 64, "1" * 64], "2026-01-01T00:00:00Z")


def test_it_runs_as_an_unprivileged_user(described: dict[str, Any]) -> None:
    user, _, group = described["config"]["User"].partition(":")
    assert int(user) > 0 and int(group) > 0


def test_everything_that_is_kept_is_in_one_volume(described: dict[str, Any]) -> None:
    (volume,) = described["config"]["Volumes"]
    settings = dict(one.split("=", 1) for one in described["config"]["Env"])
    for name in ("HOME", "APPLIANCE_DATA_DIR", "XDG_CACHE_HOME"):
        assert (settings[name] + "/").startswith(volume + "/"), name


def test_the_images_settings_exist_and_contain_no_key(described: dict[str, Any]) -> None:
    settings = dict(one.split("=", 1) for one in described["config"]["Env"])
    config = load(None, environ=settings)
    assert not (config.security.api_key or config.security.insecure_lan)
    # Besides that, it has two seconds for final messages and one for its threads, of ten in all.
    assert config.server.shutdown_grace_seconds < 5
    assert described["config"]["StopSignal"] == "SIGTERM"


def test_what_it_starts_is_there_in_the_system_and_asks_for_health(
    described: dict[str, Any],
) -> None:
    program = described["config"]["Entrypoint"][-1]
    assert described["config"]["Entrypoint"] == ["/usr/bin/tini", "--", program]
    assert "tini" in image.BASE
    assert described["config"]["Cmd"] == ["serve"]
    assert described["config"]["Healthcheck"]["Test"] == ["CMD", program, "health"]
    assert described["architecture"] in debian.LINUX


def test_the_compose_file_is_of_this_image(described: dict[str, Any]) -> None:
    text = COMPOSE.read_text("utf-8")
    assert f"image: appliance:{packages.version()}\n" in text
    (volume,) = described["config"]["Volumes"]
    assert f"- appliance:{volume}\n" in text
    assert f"chown {image.USER} " in text
    (port,) = described["config"]["ExposedPorts"]
    assert f':{port.removesuffix("/tcp")}"' in text
    assert re.search(
        r"API_KEY_FILE: /run/secrets/api_key\n.*^secrets:\n  api_key:", text, re.S | re.M
    )
