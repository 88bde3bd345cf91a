"""The original service's configuration file and environment variables keep their meaning."""

from pathlib import Path

import pytest

from appliance.config.loader import load
from appliance.config.schema import ApiKey, AvailableModel

FILE = """
[server]
host = "0.0.0.0"
port = 8123
log_level = "debug"

[models]
model_dir = "/srv/models"
default_device = "cuda"
max_concurrent_requests = 3

[[models.available_models]]
id = "tiny"
name = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"
context_length = 2048
path = "tiny.gguf"
quantization = "Q4_K_M"

[security]
enable_auth = true
allowed_origins = ["*"]

[[security.api_keys]]
key = "sk-of-the-office"
name = "office"
rate_limit_per_minute = 60
enabled = false

[limits]
max_prompt_length = 4096
max_response_tokens = 512
max_sessions = 100
session_ttl_seconds = 3600
default_rate_limit_per_minute = 30

[observability]
enable_metrics = false
enable_tracing = true
metrics_path = "/internal/metrics"
"""


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ('"warn"', "warning"),
        ('"trace"', "debug"),
        ('"INFO"', "info"),
        ('"off"', "error"),
        ('"tower_http=debug,warn"', "warning"),
    ],
)
def test_its_log_levels_are_read(line: str, level: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[server]\nlog_level = {line}\n", encoding="utf-8")
    assert load(file, environ={}).server.log_level == level
    environ = {"RUST_LOG": line.strip('"')}
    assert load(None, environ=environ).server.log_level == level
    # Ours is stronger, and a filter without a level says nothing.
    assert load(file, environ={"RUST_LOG": "hyper=trace"}).server.log_level == level
    both = {"RUST_LOG": "error", "APPLIANCE_SERVER_LOG_LEVEL": "warn"}
    assert load(file, environ=both).server.log_level == "warning"


def test_its_older_list_of_models_and_its_empty_path_are_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    lines = ["[models]", 'models = ["Qwen/Qwen2.5-0.5B-Instruct", "me/other"]']
    lines += ["[observability]", 'metrics_path = ""']
    file.write_text("\n".join(lines), encoding="utf-8")
    config = load(file, environ={"DEFAULT_DEVICE": "CUDA"})
    names = [model.id for model in config.models.available_models]
    assert names == ["Qwen/Qwen2.5-0.5B-Instruct", "me/other"]
    assert config.observability.metrics_path == "/metrics"
    assert config.models.default_device == "CUDA"


def test_every_key_of_its_file_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(FILE, encoding="utf-8")
    config = load(file, environ={})

    server, models, limits = config.server, config.models, config.limits
    assert (server.host, server.port, server.log_level) == ("0.0.0.0", 8123, "debug")
    assert (models.model_dir, models.default_device) == ("/srv/models", "cuda")
    assert models.max_concurrent_requests == 3
    assert models.available_models == (
        AvailableModel(
            id="tiny",
            name="TinyLlama/TinyLlama-1.1B-Chat-v1.0",
            context_length=2048,
            path="tiny.gguf",
            quantization="Q4_K_M",
        ),
    )
    assert config.security.enable_auth
    assert config.security.allowed_origins == ("*",)
    key = ApiKey(key="sk-of-the-office", name="office", rate_limit_per_minute=60, enabled=False)
    assert config.security.api_keys == (key,)
    assert (limits.max_prompt_length, limits.max_response_tokens) == (4096, 512)
    assert (limits.max_sessions, limits.session_ttl_seconds) == (100, 3600)
    assert limits.default_rate_limit_per_minute == 30
    watched = config.observability
    assert (watched.enable_metrics, watched.enable_tracing) == (False, True)
    assert watched.metrics_path == "/internal/metrics"


@pytest.mark.parametrize(
    ("variable", "text", "section", "key", "value"),
    [
        ("SERVER_PORT", "8080", "server", "port", 8080),
        ("ENABLE_AUTH", "true", "security", "enable_auth", True),
        ("API_KEY", "sk-mine", "security", "api_key", "sk-mine"),
        ("DEFAULT_DEVICE", "cuda", "models", "default_device", "cuda"),
    ],
)
def test_its_variables_are_taken_beside_the_appliances_own(
    variable: str, text: str, section: str, key: str, value: object, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(FILE.replace("enable_auth = true", "enable_auth = false"), encoding="utf-8")
    for name in (variable, f"APPLIANCE_{section}_{key}".upper()):
        config = load(file, environ={name: text})
        assert getattr(getattr(config, section), key) == value
