"""What tests of runners share."""

import pytest

from appliance.worker.runners.llama_cpp.runner import LlamaRunner
from tests.worker.runners import vocabularies as files


@pytest.fixture(scope="session")
def vocabularies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LlamaRunner]:
    """Of llama.cpp's test files and of real models, by name; loaded once."""
    return files.vocabularies(tmp_path_factory.mktemp("vocabularies"))
