"""What answers in place of the default model as long as its file is not here."""

import math
from pathlib import Path

import pytest

from appliance.engine.base import Engine, ModelSpec
from appliance.engine.serving.pool import Pool
from appliance.errors import ModelNotDownloaded


def never() -> Engine:
    raise AssertionError


def pool_of(file: Path) -> Pool:
    def there() -> Path | None:
        if not file.exists():
            raise ModelNotDownloaded("it is not here", param="model")
        return file

    first = ModelSpec(id="first", name="first", make=never, file=there)
    other = ModelSpec(id="embedded", name="embedded", make=never, stands_in=True)
    return Pool([first, other], free_memory=lambda: 0, keep_alive_seconds=math.inf, max_loaded=0)


def test_it_answers_from_the_first_request_on(tmp_path: Path) -> None:
    """Also before anybody has tried to load the default model."""
    file = tmp_path / "first.gguf"
    pool = pool_of(file)
    assert pool.find(None).id == "embedded"
    assert pool.find("first").id == "first"
    file.touch()
    assert pool.find(None).id == "first"


@pytest.mark.parametrize("there", [True, False])
def test_without_one_the_default_stays_the_default(tmp_path: Path, there: bool) -> None:
    file = tmp_path / "first.gguf"
    if there:
        file.touch()
    pool = pool_of(file)
    pool.remove(["embedded"])
    assert pool.find(None).id == "first"
