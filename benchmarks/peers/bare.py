"""llama.cpp alone: a loop over `llama_decode` and a greedy sampler. The limit of what can be.

After loading it prints `{"load_seconds": …}`, and then answers each line `{"prompt", "tokens"}` of
its input with `{"first_seconds", "rate", "prompt_tokens"}`; `rate`: tokens a second from the first
to the last.
"""

import json
import sys
import time

import llama_cpp.llama_cpp as lib

from benchmarks.peers import Given, given, load_backends


class Loop:
    """One sequence, begun anew with every run."""

    def __init__(self, told: Given) -> None:
        """Load the model and make a context of one slot's share."""
        params = lib.llama_model_default_params()
        self._model = lib.llama_model_load_from_file(told.model.encode(), params)
        if not self._model:
            raise SystemExit(f"llama.cpp could not load {told.model}")
        settings = lib.llama_context_default_params()
        settings.n_ctx = told.cells // told.slots
        settings.n_batch = settings.n_ubatch = 512
        settings.n_threads = settings.n_threads_batch = told.threads
        settings.no_perf = True
        self._context = lib.llama_init_from_model(self._model, settings)
        if not self._context:
            raise SystemExit("llama.cpp could not make a context")
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._sampler = lib.llama_sampler_init_greedy()

    def run(self, prompt: str, count: int) -> dict[str, float]:
        """Read the prompt and write `count` tokens."""
        tokens = self._tokens(prompt)
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        began = time.perf_counter()
        for start in range(0, len(tokens), 512):
            self._decode(tokens[start : start + 512])
        token = lib.llama_sampler_sample(self._sampler, self._context, -1)
        first = time.perf_counter()
        for _ in range(count - 1):
            self._decode([token])
            token = lib.llama_sampler_sample(self._sampler, self._context, -1)
        last = time.perf_counter()
        return {
            "first_seconds": first - began,
            "rate": (count - 1) / (last - first),
            "prompt_tokens": len(tokens),
        }

    def _tokens(self, text: str) -> list[int]:
        data = text.encode()
        room = len(data) + 16
        found = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._vocab, data, len(data), found, room, True, True)
        return list(found[:count])

    def _decode(self, tokens: list[int]) -> None:
        array = (lib.llama_token * len(tokens))(*tokens)
        code = lib.llama_decode(self._context, lib.llama_batch_get_one(array, len(tokens)))
        if code != 0:
            raise SystemExit(f"llama_decode gave {code}")


def main() -> None:
    """Until the input ends."""
    load_backends()
    lib.llama_backend_init()
    began = time.perf_counter()
    loop = Loop(given())
    print(json.dumps({"load_seconds": time.perf_counter() - began}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(loop.run(asked["prompt"], asked["tokens"])), flush=True)


if __name__ == "__main__":
    main()
