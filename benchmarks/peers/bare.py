"""llama.cpp alone: a loop over `llama_decode` and a greedy sampler. The upper limit for servers.

After loading it prints `{"load_seconds": …}`, and then answers each line of its input: `{"prompt",
"tokens"}` with `{"prompt_tokens", "first_seconds", "rate"}`, `rate` being tokens a second from the
first to the last; `{"prompts", "tokens"}`, as many prompts as there are slots at most, with
`{"read_seconds", "write_seconds"}`: first all are read, then all replies are written together.
"""

import json
import sys
import time
from typing import Any

from appliance.worker.runners.llama_cpp.native import library
from appliance.worker.runners.llama_cpp.native.bindings import lib
from benchmarks.peers import ServerOptions, read_options

BATCH = 512


class Loop:
    """A model and a context: one sequence, or one for each slot. Each run starts empty."""

    def __init__(self, options: ServerOptions) -> None:
        """Load the model and make a context of one slot's share."""
        self._options = options
        params = lib.llama_model_default_params()
        self._model = lib.llama_model_load_from_file(options.model.encode(), params)
        if not self._model:
            raise SystemExit(f"llama.cpp could not load {options.model}")
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._sampler = lib.llama_sampler_init_greedy()
        self._n_seq = 1
        self._context = self._make_context()
        self._batch = lib.llama_batch_init(BATCH, 0, 1)

    def _make_context(self) -> Any:
        options, settings = self._options, lib.llama_context_default_params()
        settings.n_ctx = options.cells // options.slots * self._n_seq
        settings.n_seq_max = self._n_seq
        settings.kv_unified = False
        settings.n_batch = settings.n_ubatch = BATCH
        settings.n_threads = settings.n_threads_batch = options.threads
        settings.no_perf = True
        context = lib.llama_init_from_model(self._model, settings)
        if not context:
            raise SystemExit("llama.cpp could not make a context")
        return context

    def _begin(self, n_seq: int) -> None:
        if n_seq != self._n_seq:
            lib.llama_free(self._context)
            self._n_seq = n_seq
            self._context = self._make_context()
            self._read(0, self._tokens("Once upon a time"))  # warms up
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)

    def alone(self, prompt: str, count: int) -> dict[str, float]:
        """Read the prompt and write `count` tokens."""
        tokens = self._tokens(prompt)
        self._begin(1)
        began = time.perf_counter()
        written = [self._read(0, tokens)]
        first = time.perf_counter()
        for place in range(len(tokens), len(tokens) + count - 1):
            written = self._write([(0, written[0], place)])
        last = time.perf_counter()
        return {
            "prompt_tokens": len(tokens),
            "first_seconds": first - began,
            "rate": (count - 1) / (last - first),
        }

    def together(self, prompts: list[str], count: int) -> dict[str, float]:
        """Read the prompts, one after the other, and write `count` tokens after each, in step."""
        read = [self._tokens(prompt) for prompt in prompts]
        self._begin(self._options.slots)
        began = time.perf_counter()
        written = [self._read(sequence, tokens) for sequence, tokens in enumerate(read)]
        middle = time.perf_counter()
        for step in range(count - 1):
            places = [len(tokens) + step for tokens in read]
            written = self._write(list(zip(range(len(read)), written, places, strict=True)))
        return {
            "read_seconds": middle - began,
            "write_seconds": time.perf_counter() - middle,
        }

    def _tokens(self, text: str) -> list[int]:
        data = text.encode()
        room = len(data) + 16
        found = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._vocab, data, len(data), found, room, True, True)
        return list(found[:count])

    def _read(self, sequence: int, tokens: list[int]) -> int:
        """Evaluates a prompt; the token that follows."""
        for start in range(0, len(tokens), BATCH):
            some = tokens[start : start + BATCH]
            self._decode([(sequence, token, start + n) for n, token in enumerate(some)], 1)
        return int(lib.llama_sampler_sample(self._sampler, self._context, -1))

    def _write(self, entries: list[tuple[int, int, int]]) -> list[int]:
        self._decode(entries, len(entries))
        sample = lib.llama_sampler_sample
        return [sample(self._sampler, self._context, place) for place in range(len(entries))]

    def _decode(self, entries: list[tuple[int, int, int]], outputs: int) -> None:
        """Decodes a batch of (sequence, token, position); the last `outputs` entries get logits."""
        batch = self._batch
        for place, (sequence, token, position) in enumerate(entries):
            batch.token[place], batch.pos[place] = token, position
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, sequence
            batch.logits[place] = place >= len(entries) - outputs
        batch.n_tokens = len(entries)
        code = lib.llama_decode(self._context, batch)
        if code != 0:
            raise SystemExit(f"llama_decode returned {code}")


def main() -> None:
    """Answers requests until the input ends."""
    library.start()
    began = time.perf_counter()
    loop = Loop(read_options())
    print(json.dumps({"load_seconds": time.perf_counter() - began}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "prompts" in request:
            result = loop.together(request["prompts"], request["tokens"])
        else:
            result = loop.alone(request["prompt"], request["tokens"])
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
