"""llama.cpp's own tests of its server, from the pinned source archive, run on the appliance.

python -m tests.clients.llama_server_suite FOLDER      prints what fails, and why
"""

import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

from tests.clients.offline import ROOT
from tests.worker.llama_sources import sources

TESTS = "tools/server/tests"
FILES = (
    "test_basic.py",
    "test_chat_completion.py",
    "test_compat_anthropic.py",
    "test_compat_oai_responses.py",
    "test_completion.py",
    "test_embedding.py",
    "test_infill.py",
    "test_metrics.py",
    "test_rerank.py",
    "test_stream.py",
    "test_template.py",
    "test_tokenize.py",
    "test_tool_call.py",
)


ERRORS = "the error's type and code are OpenAI's"
MODEL = "it wants the words or the token counts of another model"
FINGERPRINT = "`system_fingerprint` names the model and its settings, not a build"
DEBUGGING = "`__verbose`, `return_progress` and `has_new_line` are that server's debugging aids"
FIRST = "a stream's first piece has the role and the first words, not the role alone"
IMAGES = "a model that cannot see images refuses them with 400, not with 500"
RANKING = "the model here has no head for ranking; `tests/api` has one that has"
FILLING = "the model here has no tokens for filling in; `tests/api` has one that has"
ROUTER = "its router mode is not offered: models are loaded when they are asked for"
OPERATOR = "it wants what the command line of that server sets"
MIXED = "one kind of input a request: texts, or tokens"
METRICS = "Prometheus finds the appliance's own metrics, and they are always on"
PROBABILITIES = "probabilities are the model's, and not what samplers have made of them"

DIFFERS = {
    "test_basic::test_no_ui": OPERATOR,
    "test_basic::test_server_model_aliases_and_tags": OPERATOR,
    "test_basic::test_server_models": OPERATOR,
    "test_basic::test_server_multiple_addresses": OPERATOR,
    "test_basic::test_server_props": OPERATOR,
    "test_basic::test_server_slots": OPERATOR,
    "test_chat_completion::test_apply_chat_template": OPERATOR,
    "test_chat_completion::test_chat_completion": FINGERPRINT,
    "test_chat_completion::test_chat_completion_cached_tokens": MODEL,
    "test_chat_completion::test_chat_completion_stream": FIRST,
    "test_chat_completion::test_chat_completion_with_openai_library": FINGERPRINT,
    "test_chat_completion::test_chat_completion_with_timings_per_token": FIRST,
    "test_chat_completion::test_chat_completions_token_count": (
        "`/tokenize`, `/v1/messages/count_tokens` and `/v1/responses/input_tokens` count"
    ),
    "test_chat_completion::test_chat_template": DEBUGGING,
    "test_chat_completion::test_chat_template_assistant_prefill": DEBUGGING,
    "test_chat_completion::test_chat_template_continue_final_message_vllm_compat": DEBUGGING,
    "test_chat_completion::test_context_size_exceeded": ERRORS,
    "test_chat_completion::test_context_size_exceeded_stream": ERRORS,
    "test_chat_completion::test_invalid_chat_completion_req": "an empty list of tool calls is none",
    "test_chat_completion::test_logprobs_stream": FIRST,
    "test_chat_completion::test_return_progress": DEBUGGING,
    "test_chat_completion::test_verbose_debug": DEBUGGING,
    "test_compat_anthropic::test_anthropic_empty_messages": "a request without messages is refused",
    "test_compat_anthropic::test_anthropic_tool_result_with_image": IMAGES,
    "test_compat_anthropic::test_anthropic_vision_base64_with_multimodal_model": IMAGES,
    "test_compat_anthropic::test_anthropic_vision_format_accepted": IMAGES,
    "test_compat_oai_responses::test_responses_stream_with_llama_telemetry": (
        "Responses are at `/v1/responses` alone, as OpenAI has them"
    ),
    "test_completion::test_completion": MODEL,
    "test_completion::test_completion_parallel_slots": MODEL,
    "test_completion::test_completion_prompt_cache": DEBUGGING,
    "test_completion::test_completion_response_fields": DEBUGGING,
    "test_completion::test_completion_stream": MODEL,
    "test_completion::test_completion_stream_vs_non_stream": OPERATOR,
    "test_completion::test_completion_unified": OPERATOR,
    "test_completion::test_completion_with_openai_library": FINGERPRINT,
    "test_completion::test_completion_with_tokens_input": MIXED,
    "test_completion::test_json_prompt_no_mtmd": MIXED,
    "test_completion::test_logit_bias": "`logit_bias` names tokens by number, as OpenAI's does",
    "test_completion::test_n_probs_post_backend_sampling": PROBABILITIES,
    "test_completion::test_n_probs_post_sampling": PROBABILITIES,
    "test_completion::test_nocache_long_input_prompt": MODEL,
    "test_embedding::test_embedding_content_text_same_as_string": MIXED,
    "test_embedding::test_embedding_error_prompt_too_long": "the same refusal in other words",
    "test_embedding::test_embedding_mixed_input": MIXED,
    "test_embedding::test_embedding_pooling_none": OPERATOR,
    "test_embedding::test_embedding_pooling_none_oai": OPERATOR,
    "test_embedding::test_embedding_usage_multiple": MODEL,
    "test_embedding::test_embedding_usage_single": MODEL,
    "test_infill::test_infill_with_input_extra": FILLING,
    "test_infill::test_infill_without_input_extra": FILLING,
    "test_metrics::test_metrics_disabled": METRICS,
    "test_metrics::test_metrics_embedding_prompt_is_counted": METRICS,
    "test_metrics::test_metrics_generation_rate_excludes_first_token": METRICS,
    "test_metrics::test_metrics_predicted_total_matches_requests": METRICS,
    "test_metrics::test_metrics_prometheus_format": METRICS,
    "test_metrics::test_metrics_prompt_processed_and_cached": METRICS,
    "test_metrics::test_metrics_timings_on_prompt_progress": DEBUGGING,
    "test_rerank::test_rerank": RANKING,
    "test_rerank::test_rerank_tei_format": RANKING,
    "test_rerank::test_rerank_tei_top_n": RANKING,
    "test_rerank::test_rerank_top_n": RANKING,
    "test_rerank::test_rerank_usage": RANKING,
    "test_stream::test_stream_resume_and_stop_with_slashed_model_name": ROUTER,
    "test_stream::test_stream_resumes_after_reload_during_model_load": ROUTER,
    "test_stream::test_stream_stop_during_model_load": ROUTER,
    "test_template::test_add_generation_prompt": "`/apply-template` shows what the model gets",
    "test_template::test_date_inside_prompt": "dates stand where transformers puts them",
    "test_template::test_reasoning": OPERATOR,
    "test_tokenize::test_tokenize_with_bos": MODEL,
}
"""What fails of llama.cpp's tests, and why: what differs by design, or is another model's."""


def outcomes(folder: Path) -> dict[str, str]:
    """Test → "" if it passed, else why not, of those that are not skipped by themselves."""
    unit = folder / "unit"
    unit.mkdir()
    units = sources(f"{TESTS}/unit", ".py")
    for name in FILES:
        (unit / name).write_text(units[name], "utf-8")
    own = sources(TESTS, ".py")
    (folder / "conftest.py").write_text(own["conftest.py"], "utf-8")
    (folder / "original.py").write_text(own["utils.py"], "utf-8")
    (folder / "utils.py").write_text("from tests.clients.llama_server_shim import *\n", "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow\n    serial\n", "utf-8")
    report = folder / "report.xml"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"),
            *(f"--junitxml={report}", "-c", str(folder / "pytest.ini"), str(unit)),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PYTEST_ADDOPTS": ""},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    found = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        wrong = case.find("failure") if case.find("failure") is not None else case.find("error")
        file = case.get("classname", "").rpartition(".")[2]
        text = "" if wrong is None else (wrong.get("message", "") + "\n" + (wrong.text or ""))
        found[f"{file}::{case.get('name')}"] = text
    return found


if __name__ == "__main__":
    for test, why in outcomes(Path(sys.argv[1])).items():
        print(test, why)
