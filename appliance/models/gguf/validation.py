"""Checks for the input on which llama.cpp aborts instead of returning an error.

Its loader and its graphs assert what its own converter always writes. A file that breaks one of
these rules would crash the worker, so it is refused here, with a message. The rules come from
llama.cpp's source and from thousands of mutated files; errors that it returns itself are not here.
"""

from appliance.models.gguf.metadata import ArraySummary, MetadataReader

_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")
_SINGLE = ("_norm.weight", "ssm_conv1d.weight", "shortconv.conv.weight")
_NEVER_MULTIPLIED = ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K")

# Architectures whose keys and values are equally long; then those that rotate the whole of them.
_EQUAL_HEADS = """
    afmoe bailingmoe2 bert bitnet bloom chatglm cohere2 command-r dflash eagle3 eurobert glm4
    glm4moe gpt2 gptneox granitehybrid jais laguna minimax-01 minimax-m2 minimax-m3 modern-bert mpt
    muse-glimmer nanbeige nemotron nemotron_h nemotron_h_moe neo-bert openelm phi2 phi3 qwen qwen35
    qwen35moe qwen3next qwen4exp refact spark2_5 stablelm starcoder t5
"""
_WHOLE_HEADS = """
    apertus arcee arctic baichuan chameleon codeshell cogvlm cohere2moe dbrx deci deepseek dots1
    dream ernie4_5 ernie4_5-moe exaone falcon granite granite_swa granitemoe graniteswitch grok
    grovemoe hunyuan-moe hunyuan_vl hy_v3 internlm2 jais2 llada llada-moe llama llama4 maincoder
    mellum mistral3 olmo olmo2 olmoe orion paddleocr pangu-embedded plamo pockettts qwen2 qwen2moe
    qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe rnd1 seed_oss smallthinker smollm3 starcoder2 xverse
"""
# Architectures whose convolutions have a bias, although it is read as if they might not.
_BIASED = ("falcon-h1", "granitehybrid", "nemotron_h", "nemotron_h_moe")


def type_fault(name: str, dims: tuple[int, ...], kind: str) -> str | None:
    """Why a tensor of that type could not be computed with; None: it can.

    llama.cpp's converter holds to the same: vectors, norms and convolutions are F32, and whole
    numbers stand in tables alone.
    """
    matrix = name.endswith((".weight", ".lora_a", ".lora_b")) and len(dims) > 1
    single = not matrix or name.endswith(_SINGLE)
    if single and kind != "F32" and name != "d2t":
        return f"is {kind}, and only F32 will do"
    if matrix and kind in _NEVER_MULTIPLIED and "tid2eid" not in name:
        return f"is {kind}, and no weights are"
    return None


def check(facts: MetadataReader, tensors: frozenset[str]) -> None:
    """Hold the keys, and the tensors' names, against the rules.

    Raises:
        BadModelFile: one is broken.
    """
    layers = facts.count("block_count", default=1)
    if layers == 0:
        raise facts.refuse("block_count", "a model without layers")
    facts.count("nextn_predict_layers", most=layers)
    for name in ("layer_norm_rms_epsilon", "layer_norm_epsilon", "group_norm_epsilon"):
        epsilon = facts.get(f"attention.{name}", 0)
        if not isinstance(epsilon, int | float) or not 0 <= epsilon < 1:
            raise facts.refuse(f"attention.{name}", f"{epsilon!r:.40} is not between 0 and 1")
    _check_experts(facts)
    _check_heads(facts)
    _check_recurrence(facts)
    _check_tensors(facts, layers, tensors)
    _check_vocabulary(facts)


def _check_experts(facts: MetadataReader) -> None:
    experts = facts.count("expert_count")
    used = max(facts.layers("expert_used_count", ()), default=0)
    if used > experts or (experts and not used):
        raise facts.refuse("expert_used_count", f"{used} of {experts} experts")
    groups = facts.count("expert_group_count", most=max(0, experts - 1))
    if groups > 1:
        used = facts.count("expert_group_used_count", most=groups - 1)
        if experts % groups or not used:
            raise facts.refuse("expert_group_count", f"{experts} experts in {groups} groups")


def _check_heads(facts: MetadataReader) -> None:
    scaling = facts.get("rope.scaling.type", "none")
    if scaling not in _ROPE_SCALINGS:
        raise facts.refuse("rope.scaling.type", f"{scaling!r:.40} is unknown")
    rotated = facts.count("rope.dimension_count", default=2)
    if rotated < 2 or rotated % 2:
        raise facts.refuse("rope.dimension_count", f"{rotated} cannot be rotated in pairs")
    heads = facts.layers("attention.head_count", ())
    facts.layers("attention.head_count_kv", ())
    if not heads or not heads[0]:
        return
    each = facts.count("embedding_length") // heads[0]
    key = facts.count("attention.key_length", default=each)
    value = facts.count("attention.value_length", default=each)
    if rotated > key:
        raise facts.refuse("rope.dimension_count", f"{rotated}, and keys are {key} long")
    whole = facts.architecture in _WHOLE_HEADS.split()
    equal = whole or facts.architecture in _EQUAL_HEADS.split()
    if equal and key != value:
        raise facts.refuse("attention.value_length", f"{value}, and keys are {key} long")
    if whole and facts.count("rope.dimension_count", default=key) != key:
        raise facts.refuse("rope.dimension_count", f"{rotated}, and must be {key}")


def _check_recurrence(facts: MetadataReader) -> None:
    if facts.architecture in ("granitehybrid", "jamba"):
        inner = 2 * facts.count("embedding_length")
        if facts.count("ssm.inner_size") != inner:
            raise facts.refuse("ssm.inner_size", f"only {inner} is possible")


def _check_tensors(facts: MetadataReader, layers: int, tensors: frozenset[str]) -> None:
    """Those that the loader takes for optional and the graph does not."""
    for layer in range(layers):
        start = f"blk.{layer}"
        if facts.architecture in _BIASED and f"{start}.ssm_conv1d.weight" in tensors:
            needed = {f"{start}.ssm_conv1d.bias"}
        elif facts.architecture == "phi3" and f"{start}.attn_output.weight" in tensors:
            needed = {f"{start}.attn_qkv.weight", f"{start}.attn_q.weight"}
        else:
            continue
        if not needed & tensors:
            raise facts.refuse("block_count", f"there is no tensor {max(needed)}")


def _check_vocabulary(facts: MetadataReader) -> None:
    key = "tokenizer.ggml.model"
    model = facts.pairs.get(key)
    tokens = facts.pairs.get("tokenizer.ggml.tokens")
    kinds = facts.pairs.get("tokenizer.ggml.token_type")
    if model in ("none", "no_vocab"):
        raise facts.bad(key, "a model without a vocabulary")
    if model == "bert" and isinstance(kinds, ArraySummary) and kinds.has_bytes:
        raise facts.bad(key, "a vocabulary of words with tokens for bytes")
    if model == "llama" and isinstance(tokens, ArraySummary) and not tokens.has_bytes:
        raise facts.bad(key, "a vocabulary that lacks tokens for some bytes")
