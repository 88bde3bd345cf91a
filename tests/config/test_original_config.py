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
