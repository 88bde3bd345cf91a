"""An admin key in a file, as containers receive secrets."""

from pathlib import Path

import pytest

from appliance.config.loader import load
from appliance.config.schema import Config
from appliance.errors import ConfigError
from appliance.service.auth import open_keys


def configured(file: Path) -> Config:
    return load(environ={"API_KEY_FILE": str(file), "APPLIANCE_SECURITY_VAULT": "file"})


def test_the_key_lets_in(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-of-a-container-0123456789\n")
    keys = open_keys(configured(file))
    found = keys.check("sk-of-a-container-0123456789")
    assert found is not None and found.scope == "admin"
    assert keys.check("sk-of-another") is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not plain text"),
        (b"k" * 5000, "is too long for a key"),
        (b"one key\ntwo keys\n", "printable"),
    ],
)
def test_what_is_no_key_is_refused(content: bytes | None, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        open_keys(configured(file))
