"""Client libraries: replies, calls and streams of a scripted model, schemas on the real one."""

from pathlib import Path

import pytest

from tests.clients import table
from tests.clients.offline import LIBRARIES, run

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_does_what_its_users_do(name: str, tmp_path: Path) -> None:
    found = table.did("library", run(tmp_path, "library", name))
    assert found
    for api, tried in found.items():
        assert tried == dict.fromkeys(tried, ""), api
    document = table.DOCUMENT.read_text("utf-8")
    assert all(row in document for row in table.rows("library", name, found))
