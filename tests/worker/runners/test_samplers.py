"""The sampler chain, against what llama.cpp's own test of its samplers expects."""

import ctypes
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from appliance.config import paths
from appliance.engine.types import DEFAULT_SAMPLERS, SamplingParams
from appliance.worker.runners.llama_cpp.chain import SampledVocabulary, SamplerChain
from appliance.worker.runners.llama_cpp.native import library
from appliance.worker.runners.llama_cpp.native.bindings import lib
from tests.worker.llama_sources import sources
from tests.worker.runners.vocabularies import vocabulary

OFF: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


class Case(NamedTuple):
    """A call of a function of test-sampling.cpp."""

    name: str
    probabilities: list[float]
    expected: list[float]
    before: list[int]
    params: dict[str, Any]
    breaker: int | None = None


def _value(text: str) -> Any:
    """An argument: a number, a quotient of two, or a list of such in braces."""
    python = re.sub(r"(?<=[0-9.])f", "", text).replace("{", "[").replace("}", "]")
    assert re.fullmatch(r"[\d\s.,/\[\]-]+", python), text
    return eval(python, {"__builtins__": {}})


_BY_NAME: dict[str, Callable[..., dict[str, Any]]] = {
    "temp": lambda t: {"temperature": t},
    "temp_ext": lambda t, delta, exponent: {
        "temperature": t,
        "dynatemp_range": delta,
        "dynatemp_exponent": exponent,
    },
    "top_k": lambda k: {"top_k": k},
    "top_p": lambda p: {"top_p": p},
    "min_p": lambda p: {"min_p": p},
    "xtc": lambda p, t: {"xtc_probability": p, "xtc_threshold": t, "seed": 0},
    "typical": lambda p: {"typical_p": p},
    "top_n_sigma": lambda n: {"top_n_sigma": n},
    "penalties": lambda repeat, frequency, presence: {
        "repeat_penalty": repeat,
        "frequency_penalty": frequency,
        "presence_penalty": presence,
    },
    "dry": lambda multiplier, base, length, last_n, _breakers: {
        "dry_multiplier": multiplier,
        "dry_base": base,
        "dry_allowed_length": length,
        "dry_penalty_last_n": last_n,
    },
}


def cases() -> list[Case]:
    source = sources("tests", "test-sampling.cpp")["test-sampling.cpp"]
    found = []
    for name, text in re.findall(r"^    test_(\w+)\((\{.*)\);", source, re.MULTILINE):
        arguments = _value(f"[{text}]")
        if name in ("penalties", "dry"):
            probabilities, before, expected, *rest = arguments
        else:
            (probabilities, expected, *rest), before = arguments, []
        breaker = rest[-1][0][0] if name == "dry" and rest[-1] else None
        params = _BY_NAME[name](*rest)
        if name == "penalties":
            params["repeat_last_n"] = len(before)
        found.append(Case(name, probabilities, expected, before, params, breaker))
    return found


@pytest.fixture(scope="module")
def words() -> SampledVocabulary:
    library.start()
    runner = vocabulary(paths.embedded_model())
    return SampledVocabulary(runner._vocab, runner.n_vocab, 2048)


@pytest.fixture(scope="module")
def tokens(words: SampledVocabulary) -> list[int]:
    """Five ordinary words of it, by the numbers that the cases use."""
    runner = vocabulary(paths.embedded_model())
    found = [runner.tokenize(f" {word}", parse_special=False) for word in WORDS]
    assert all(len(it) == 1 for it in found)
    return [it[0] for it in found]


WORDS = ["river", "seven", "garden", "stone", "window"]


def applied(
    words: SampledVocabulary, tokens: list[int], case: Case, params: SamplingParams
) -> tuple[list[float], int]:
    """What is left of the probabilities, and the number of the chosen one."""
    before = [tokens[number] for number in case.before]
    chain = SamplerChain(words, params, seed=params.seed or 0, before=before, bias={})
    array = candidates([math.log(probability) for probability in case.probabilities])
    for number in range(array.size):
        array.data[number].id = tokens[number]
    lib.llama_sampler_apply(chain.handle, ctypes.byref(array))
    left = [array.data[i].logit for i in range(array.size)]
    total = sum(map(math.exp, left))
    chosen = tokens.index(array.data[array.selected].id)
    chain.close()
    return [math.exp(logit) / total for logit in left], chosen


@pytest.mark.parametrize("case", cases(), ids=lambda it: it.name)
def test_what_llama_cpp_expects_of_each_sampler(
    case: Case, words: SampledVocabulary, tokens: list[int]
) -> None:
    params: dict[str, Any] = {**OFF, **case.params, "dry_sequence_breakers": ()}
    if case.breaker is not None:
        params["dry_sequence_breakers"] = (f" {WORDS[case.breaker]}",)
    left, chosen = applied(words, tokens, case, SamplingParams(**params))
    if params["temperature"] == 0:
        assert case.probabilities[chosen] == max(case.probabilities)
        return
    expected = [share / sum(case.expected) for share in case.expected if share]
    likely = sorted(share for share in left if share > 1e-7)
    assert likely == pytest.approx(sorted(expected), abs=1e-4)


def test_all_of_its_cases_are_run() -> None:
    names = [case.name for case in cases()]
    assert set(names) == set(_BY_NAME)
    assert len(names) > 40


def test_the_order_is_that_of_llama_server(words: SampledVocabulary) -> None:
    header = sources("common", "common.h")["common.h"]
    block = re.search(r"common_sampler_type> samplers = \{(.*?)\}", header, re.DOTALL)
    assert block
    theirs = re.findall(r"COMMON_SAMPLER_TYPE_(\w+)", block[1])
    ours = [name.upper().replace("TYP_P", "TYPICAL_P") for name in DEFAULT_SAMPLERS]
    assert ours == theirs
    everything = SamplingParams(
        **{**OFF, "top_k": 40, "top_p": 0.9, "min_p": 0.1},
        repeat_penalty=1.1,
        dry_multiplier=0.8,
        top_n_sigma=2.0,
        typical_p=0.9,
        xtc_probability=0.5,
        dynatemp_range=0.3,
    )
    assert names(words, everything) == [
        *("penalties", "dry", "top-n-sigma", "top-k", "min-p", "typical", "top-p", "min-p"),
        *("xtc", "temp-ext", "dist"),
    ]
    first = SamplingParams(samplers=("min_p", "temperature", "top_k", "infill"))
    assert names(words, first) == ["min-p", "temp", "top-k", "infill", "dist"]
    assert names(words, SamplingParams(mirostat=2)) == ["temp", "mirostat-v2"]
    assert names(words, SamplingParams(mirostat=1)) == ["temp", "mirostat"]
    greedy = SamplingParams(temperature=0, dry_multiplier=1.0, top_n_sigma=1.0)
    assert names(words, greedy) == ["dry", "greedy"]
    assert names(words, SamplingParams(temperature=0, mirostat=2)) == ["greedy"]


def names(words: SampledVocabulary, params: SamplingParams) -> list[str]:
    chain = SamplerChain(words, params, seed=1, before=[], bias={})
    chain.new_random_numbers(7)
    found = []
    for index in range(lib.llama_sampler_chain_n(chain.handle)):
        sampler = lib.llama_sampler_chain_get(chain.handle, index)
        found.append(lib.llama_sampler_name(sampler).decode())
    chain.close()
    return found


def test_mirostat_aims_at_what_the_last_tokens_left(words: SampledVocabulary) -> None:
    """A new sampler for each token keeps as many candidates as one that goes on."""
    tau, eta = 3.0, 0.25
    params = SamplingParams(temperature=1.0, mirostat=2, mirostat_tau=tau, mirostat_eta=eta)
    chain = SamplerChain(words, params, seed=5, before=[], bias={})
    logits = [-0.9 * math.log(number + 1) for number in range(4000)]
    total = sum(map(math.exp, logits))
    surprises = [-math.log2(math.exp(logit) / total) for logit in logits]
    mu, seen = 2 * tau, []
    for position in range(200):
        chain.new_random_numbers(position)
        array = candidates(logits)
        lib.llama_sampler_apply(chain.handle, ctypes.byref(array))
        assert abs(array.size - sum(surprise <= mu for surprise in surprises)) <= 1
        probability = float(array.data[array.selected].p)
        chain.chosen(probability)
        seen.append(-math.log2(probability))
        mu -= eta * (seen[-1] - tau)
        assert chain.mirostat_mu == pytest.approx(mu)
    assert sum(seen) / len(seen) == pytest.approx(tau, abs=0.3)
    chain.close()


def candidates(logits: list[float]) -> Any:
    data = (lib.llama_token_data * len(logits))()
    for number, logit in enumerate(logits):
        data[number] = lib.llama_token_data(id=number, logit=logit)
    pointer = ctypes.cast(data, lib.llama_token_data_p)
    return lib.llama_token_data_array(data=pointer, size=len(data), selected=-1, sorted=False)


def test_typical_survives_what_others_ruled_out(words: SampledVocabulary) -> None:
    """It takes logarithms of probabilities, which may have become 0."""
    params = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, typical_p=0.5)
    bias = dict.fromkeys(range(0, 3000, 2), -math.inf)
    chain = SamplerChain(words, params, seed=1, before=[], bias=bias)
    for position in range(20):
        chain.new_random_numbers(position)
        array = candidates([-float(number % 997) for number in range(4000)])
        lib.llama_sampler_apply(chain.handle, ctypes.byref(array))
        chosen = array.data[array.selected]
        assert chosen.id not in bias
        assert math.isfinite(chosen.p)
    chain.close()
