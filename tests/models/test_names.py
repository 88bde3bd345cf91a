"""Model names as users type them, file names, and the file that a name selects."""

import pytest

from appliance.errors import RequestError
from appliance.models.catalog import catalog, names

FILES = [
    "README.md",
    "mmproj-model-f16.gguf",
    "imatrix_unsloth.gguf",
    "Model-BF16.gguf",
    "Model-Q4_0.gguf",
    "Model-Q4_K_M.gguf",
    "Model-Q4_K_S.gguf",
    "Model-Q5_K_M.gguf",
    "Model-Q8_0.gguf",
    "UD/Model-Q8_0.gguf",
    "Q6_K/Model-Q6_K-00001-of-00002.gguf",
    "Q6_K/Model-Q6_K-00002-of-00002.gguf",
]


@pytest.mark.parametrize(
    ("wanted", "file"),
    [
        ("", "Model-Q4_K_M.gguf"),
        ("q4", "Model-Q4_K_M.gguf"),
        ("Q4", "Model-Q4_K_M.gguf"),
        ("q8", "Model-Q8_0.gguf"),
        ("bf16", "Model-BF16.gguf"),
        ("Q4_0", "Model-Q4_0.gguf"),
        ("q5_k_m", "Model-Q5_K_M.gguf"),
        ("Q6_K", "Q6_K/Model-Q6_K-00001-of-00002.gguf"),
        ("UD/Model-Q8_0.gguf", "UD/Model-Q8_0.gguf"),
        ("Model-Q4_0.gguf", "Model-Q4_0.gguf"),
        ("Q2_K", None),
        ("mmproj-model-f16.gguf", None),
        ("nonsense", None),
    ],
)
def test_the_quantization_picks_the_file(wanted: str, file: str | None) -> None:
    assert names.choose(FILES, wanted) == file
    assert names.choose(reversed(FILES), wanted) == file


@pytest.mark.parametrize(
    ("files", "file"),
    [
        (["a-f16.gguf", "a-q8_0.gguf"], "a-q8_0.gguf"),
        (["a-fp16.gguf"], "a-fp16.gguf"),
        (["Phi-3-mini-4k-instruct-q4.gguf"], "Phi-3-mini-4k-instruct-q4.gguf"),
        (["gpt-oss-20b-mxfp4.gguf", "x-Q8_0.gguf"], "gpt-oss-20b-mxfp4.gguf"),
        (["readme.txt"], None),
        ([], None),
    ],
)
def test_without_a_quantization_a_file_is_chosen_if_there_is_one(
    files: list[str], file: str | None
) -> None:
    assert names.choose(files, "") == file


@pytest.mark.parametrize(
    ("file", "quantization"),
    [
        ("qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("Qwen3-30B-A3B-UD-IQ2_XXS.gguf", "IQ2_XXS"),
        ("model-fp16-00001-of-00003.gguf", "F16"),
        ("gpt-oss-120b-mxfp4-00001-of-00003.gguf", "MXFP4"),
        ("Q4_K_M/model-BF16.gguf", "BF16"),
        ("faq4_0rum.gguf", ""),
        ("model.gguf", ""),
    ],
)
def test_the_quantization_is_read_from_the_file_name(file: str, quantization: str) -> None:
    assert names.quantization(file) == quantization


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        ("qwen3-4b", "qwen3-4b", ""),
        ("Qwen/Qwen3-4B-GGUF:Q8_0", "Qwen/Qwen3-4B-GGUF", "Q8_0"),
        ("a/b/c.gguf", "a/b", "c.gguf"),
        ("a/b/Q6_K/c.gguf", "a/b", "Q6_K/c.gguf"),
        ("hf.co/a/b:q4", "a/b", "q4"),
        ("https://huggingface.co/a/b", "a/b", ""),
        ("https://huggingface.co/a/b/resolve/main/d/c.gguf?download=true", "a/b", "d/c.gguf"),
        ("https://huggingface.co/a/b/blob/main/c.gguf", "a/b", "c.gguf"),
        (" a/b ", "a/b", ""),
    ],
)
def test_what_people_type_is_understood(text: str, name: str, wanted: str) -> None:
    assert names.parse(text) == (name, wanted)


@pytest.mark.parametrize("name", ["a", "a/b/c", "../b", "a/..", "a/b.git", "/b", "a/", "a b/c", ""])
def test_what_is_no_repository_is_refused(name: str) -> None:
    with pytest.raises(RequestError):
        names.check_repo(name)


# -- the catalogue ---------------------------------------------------------------------------------


def test_the_list_is_in_order_and_says_what_it_must() -> None:
    models = catalog.listed()
    assert [m.size for m in models] == sorted(m.size for m in models)
    assert len({m.id for m in models}) == len({m.repo for m in models}) == len(models)
    for model in models:
        assert names.check_repo(model.repo)
        assert model.names and model.licence and model.about and model.title
        assert model.parameters > 10**8 and model.context_length >= 2048
    # A model for every size of memory, in gigabytes.
    for low, high in ((0, 1), (1, 4), (4, 8), (8, 16), (16, 32)):
        assert any(low < model.size * 1.25 / 1e9 <= high for model in models)


@pytest.mark.parametrize(
    ("name", "repos"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", ("Qwen/Qwen2.5-0.5B-Instruct-GGUF",)),
        ("microsoft/Phi-3.5-mini-instruct", ("bartowski/Phi-3.5-mini-instruct-GGUF",)),
        ("MICROSOFT/phi-3.5-mini-instruct", ("bartowski/Phi-3.5-mini-instruct-GGUF",)),
        ("qwen3-4b", ("Qwen/Qwen3-4B-GGUF",)),
        ("somebody/Model", ("somebody/Model-GGUF", "somebody/Model")),
        ("somebody/Model-gguf", ("somebody/Model-gguf",)),
        ("my-model", ()),
        ("smollm2-135m-instruct", ()),
    ],
)
def test_names_lead_to_repositories(name: str, repos: tuple[str, ...]) -> None:
    assert catalog.repos(name) == repos


def test_words_are_looked_for() -> None:
    assert {m.id for m in catalog.search("Phi MINI")} == {
        *("phi-3.5-mini-instruct", "phi-4-mini-instruct"),
    }
    assert catalog.search("no such model") == ()
