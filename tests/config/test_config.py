"""Settings: their sources, precedence, and the errors for wrong ones."""

import itertools
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import schema
from appliance.config.environment import forget_frozen_libraries, worker_environment
from appliance.config.loader import load
from appliance.config.schema import ApiKey, AvailableModel, Config
from appliance.errors import ConfigError

EXAMPLE = Path(__file__).resolve().parents[2] / "config.example.toml"


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refused(text: str, folder: Path, **more: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text), environ={}, **more)  # type: ignore[arg-type]
    return caught.value


def test_an_empty_configuration_gives_the_defaults() -> None:
    assert load(environ={}) == Config()


def test_each_source_wins_over_the_one_before(tmp_path: Path) -> None:
    file = written(tmp_path, '[server]\nport = 1001\nhost = "::1"\nlog_level = "debug"')
    environ = {"APPLIANCE_SERVER_PORT": "1002", "APPLIANCE_SERVER_HOST": "::2"}

    built = load(file, environ=environ, flags={"server": {"port": 1003}})

    assert (built.server.port, built.server.host) == (1003, "::2")
    assert built.server.log_level == "debug"
    assert built.server.shutdown_grace_seconds == Config().server.shutdown_grace_seconds


def test_short_name_is_weaker_than_the_full_one() -> None:
    assert load(environ={"SERVER_PORT": "8080"}).server.port == 8080
    both = {"SERVER_PORT": "8080", "APPLIANCE_SERVER_PORT": "9090"}
    assert load(environ=both).server.port == 9090


def another(value: object) -> object:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value + 0.5
        case "auto":
            return "cuda"
        case "keyring":
            return "file"
        case "/metrics":
            return "/other"
        case _:
            return "debug"


CHOICES = {"flash_attn": "off", "kv_unified": "off", "type_k": "q8_0", "type_v": "q4_0"}
"""Values for keys that accept none of those from `another`."""


SCALARS = [
    (section, key)
    for section, table in get_type_hints(Config).items()
    for key, kind in get_type_hints(table).items()
    if key not in ("available_models", "aliases", "api_keys") and kind != tuple[str, ...]
]


@pytest.mark.parametrize(("section", "key"), SCALARS)
def test_every_scalar_key_can_be_set_by_environment(section: str, key: str) -> None:
    wanted = CHOICES.get(key) or another(getattr(getattr(Config(), section), key))
    # This fits any n_ubatch.
    environ = {"APPLIANCE_ENGINE_N_BATCH": "65536"}
    environ[f"APPLIANCE_{section}_{key}".upper()] = str(wanted).lower()

    assert getattr(getattr(load(environ=environ), section), key) == wanted


def test_empty_variable_counts_as_unset() -> None:
    assert load(environ={"APPLIANCE_SERVER_PORT": "", "SERVER_PORT": ""}) == Config()


def test_values_in_another_type_need_flash_attention() -> None:
    environ = {"APPLIANCE_ENGINE_FLASH_ATTN": "off", "APPLIANCE_ENGINE_TYPE_V": "q8_0"}
    with pytest.raises(ConfigError) as raised:
        load(environ=environ)
    assert raised.value.param == "engine.type_v"


def test_variables_that_kubernetes_sets_beside_a_service_are_not_settings() -> None:
    environ = {
        "APPLIANCE_PORT": "tcp://10.0.0.1:3000",
        "APPLIANCE_PORT_3000_TCP_ADDR": "10.0.0.1",
        "APPLIANCE_SERVICE_HOST": "10.0.0.1",
        "APPLIANCE_SERVICE_PORT_HTTP": "3000",
    }
    assert load(environ=environ) == Config()


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        ("[server]\nprot = 1", "server.prot", "host, port, log_level, shutdown_grace_seconds"),
        ("[sever]\nport = 1", "sever", "security, limits, observability, data"),
        ("[server]\nport = 65536", "server.port", "a whole number from 0 to 65535"),
        ('[server]\nport = "80"', "server.port", "a whole number from 0 to 65535"),
        ('[server]\nhost = ""', "server.host", "a text that is not empty"),
        ('[server]\nlog_level = "loud"', "server.log_level", "one of debug, error, info, warning"),
        ("[server]\nshutdown_grace_seconds = -1", "server.shutdown_grace_seconds", "from 0"),
        ("server = 3", "server", "a table"),
        ("[models]\nmodel_dir = 3", "models.model_dir", "a text"),
        ("[models]\navailable_models = 3", "models.available_models", "a list"),
        (
            '[[models.available_models]]\nid = "a"\ncontext_length = -1',
            "models.available_models[0].context_length",
            "a whole number from 0 on",
        ),
        (
            '[[models.available_models]]\nid = "a"\nfile = "b"',
            "models.available_models[0].file",
            "id, name, path, quantization",
        ),
        ('[[models.available_models]]\nname = "a"', "models.available_models[0].id", "missing"),
        (
            '[observability]\nmetrics_path = "metrics"',
            "observability.metrics_path",
            "a path such as /metrics",
        ),
        ("[engine]\ntune = 1", "engine.tune", "true or false"),
        ("[limits]\nmax_history_messages = 0", "limits.max_history_messages", "from 1 on"),
    ],
)
def test_wrong_setting_names_key_file_and_what_is_allowed(
    text: str, key: str, allowed: str, tmp_path: Path
) -> None:
    error = refused(text, tmp_path)

    assert error.param == key
    assert error.message.startswith(f"{key}: ")
    assert allowed in error.message
    assert str(tmp_path / "config.toml") in error.message
    assert "\n" not in error.message


known = st.sampled_from([*Config.__struct_fields__, "port", "host", "available_models", "id"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(known | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(known | st.text(max_size=5), values, max_size=3))
def test_whatever_is_written_loads_or_is_refused_in_one_line(tables: dict[str, Any]) -> None:
    refusal = None
    try:
        load(environ={}, flags=tables)
    except ConfigError as error:
        refusal = error
    assert refusal is None or refusal.param
    assert refusal is None or len(refusal.message.splitlines()) == 1


def test_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^server\.port: .*65535.*APPLIANCE_SERVER_PORT"):
        load(environ={"APPLIANCE_SERVER_PORT": "many"})


def test_unknown_variable_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^APPLIANCE_SEVER_PORT: .*APPLIANCE_SERVER_PORT"):
        load(environ={"APPLIANCE_SEVER_PORT": "1"})


def test_wrong_flag_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^server\.port: .*\(command line\)"):
        load(environ={}, flags={"server": {"port": "-1"}})
    assert load(environ={}, flags={"server": {"port": "1003"}}).server.port == 1003


def test_a_wrong_value_is_refused_even_where_a_stronger_source_hides_it(tmp_path: Path) -> None:
    assert refused("[server]\nport = -1", tmp_path, flags={"server": {"port": 1}}).param


def test_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={"APPLIANCE_SERVER_PORT": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [b"[server", b"\xff\xfe", b"port = 1\nport = 2"])
def test_file_that_is_not_toml_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(str(file))):
        load(file, environ={})


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / "none.toml"))):
        load(tmp_path / "none.toml", environ={})


def test_values_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    assert refused("[engine]\nn_ubatch = 1024", tmp_path).param == "engine.n_ubatch"
    # Only together: each of these two sources is valid on its own.
    file = written(tmp_path, "[engine]\nn_ubatch = 1024")
    assert load(file, environ={"APPLIANCE_ENGINE_N_BATCH": "2048"}).engine.n_ubatch == 1024


def test_two_models_of_one_id_are_refused(tmp_path: Path) -> None:
    model = '[[models.available_models]]\nid = "twin"\n'
    assert "twin" in refused(model * 2, tmp_path).message


def test_models_listed_replace_the_embedded_one(tmp_path: Path) -> None:
    assert load(environ={}).models.listed() == (schema.EMBEDDED_MODEL,)
    file = written(tmp_path, '[[models.available_models]]\nid = "a"\npath = "a.gguf"')
    assert load(file, environ={}).models.listed() == (AvailableModel(id="a", path="a.gguf"),)


def test_configuration_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Config().server.port = 1  # type: ignore[misc]


# -- the example ----------------------------------------------------------------------------------


def test_example_holds_every_key_with_its_default_and_no_other() -> None:
    example = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    defaults = msgspec.json.decode(msgspec.json.encode(Config()))
    del defaults["models"]["available_models"], defaults["models"]["aliases"]
    del defaults["security"]["api_keys"]
    assert example == defaults


def test_example_loads() -> None:
    assert load(EXAMPLE, environ={}) == Config()


def test_examples_model_holds_every_key_and_loads(tmp_path: Path) -> None:
    commented = EXAMPLE.read_text(encoding="utf-8").partition("#\n# [[models.available_models]]")[2]
    table = "\n".join(
        line.removeprefix("# ") for line in commented.partition("\n\n")[0].splitlines()
    )
    file = written(tmp_path, f"[[models.available_models]]{table}")

    (model,) = load(file, environ={}).models.available_models

    written_keys = tomllib.loads(file.read_text())["models"]["available_models"][0].keys()
    assert tuple(written_keys) == AvailableModel.__struct_fields__
    assert model.path.endswith(".gguf")


def test_examples_key_holds_every_key_and_loads(tmp_path: Path) -> None:
    commented = EXAMPLE.read_text(encoding="utf-8").partition("#\n# [[security.api_keys]]")[2]
    table = "\n".join(
        line.removeprefix("# ") for line in commented.partition("\n\n")[0].splitlines()
    )
    file = written(tmp_path, f"[[security.api_keys]]{table}")

    (key,) = load(file, environ={}).security.api_keys

    written_keys = tomllib.loads(file.read_text())["security"]["api_keys"][0].keys()
    assert tuple(written_keys) == ApiKey.__struct_fields__
    assert key.name == "office"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('allowed_origins = ["example.org"]', "allowed_origins"),
        ('allowed_origins = ["https://example.org/"]', "allowed_origins"),
        ('trusted_proxies = ["proxy.lan"]', "trusted_proxies"),
        ('api_key = "a"\napi_key_file = "/run/secrets/key"', "api_key_file"),
        ('api_keys = [{key="a", name="x"}, {key="b", name="x"}]', "api_keys"),
    ],
)
def test_invalid_access_settings_are_refused(line: str, key: str, tmp_path: Path) -> None:
    assert refused(f"[security]\n{line}", tmp_path).param == f"security.{key}"


def test_lists_of_texts_stand_in_the_environment_with_commas() -> None:
    environ = {"APPLIANCE_SECURITY_ALLOWED_ORIGINS": "https://a.example, http://b.example:1"}
    origins = load(environ=environ).security.allowed_origins
    assert origins == ("https://a.example", "http://b.example:1")


def test_a_key_is_not_in_what_is_printed_of_the_configuration() -> None:
    keys = {"security": {"api_keys": [{"key": "canary-1"}], "api_key": "canary-2"}}
    loaded = load(environ={}, flags=keys)
    assert "canary" not in f"{loaded} {loaded.security} {loaded.security.api_keys}"


def test_example_explains_every_key() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    unexplained = [
        line
        for before, line in itertools.pairwise(lines)
        if re.match(r"(# )?\w+ = ", line) and not re.match(r"(# )?# \S", before)
    ]
    assert unexplained == []


# -- a worker's environment -----------------------------------------------------------------------


def test_worker_sees_what_native_code_needs_and_no_secret() -> None:
    needed = {
        "PATH": "/bin",
        "HOME": "/home/someone",
        "LC_ALL": "C.UTF-8",
        "LD_LIBRARY_PATH": "/lib",
        "CUDA_VISIBLE_DEVICES": "0",
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": "/src",
    }
    others = {
        "API_KEY": "s",
        "APPLIANCE_SERVER_PORT": "1",
        "HF_TOKEN": "s",
        "PYTHON_KEYRING_PASSWORD": "s",
        "SSH_AUTH_SOCK": "s",
    }
    seen = worker_environment(needed | others)
    assert needed.items() <= seen.items()
    assert not others.keys() & seen.keys()
    assert not {"s"} & set(seen.values())


def test_workers_find_the_drivers_of_gpus_and_die_without_a_debugger() -> None:
    environment = {
        "VK_DRIVER_FILES": "/a/driver.json",
        "XDG_DATA_DIRS": "/usr/share",
        "VK_API_KEY": "x",
    }
    found = worker_environment(environment)
    del environment["VK_API_KEY"]
    assert found == {**environment, "GGML_NO_BACKTRACE": "1"}


def test_a_person_may_say_how_a_workers_threads_wait() -> None:
    environment = {"GOMP_SPINCOUNT": "200", "OMP_WAIT_POLICY": "passive"}
    assert worker_environment(environment).items() >= environment.items()
    assert not worker_environment({}).keys() & environment.keys()


def test_a_frozen_builds_libraries_are_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/frozen/_internal")
    monkeypatch.delenv("LD_LIBRARY_PATH_ORIG", raising=False)
    forget_frozen_libraries()
    assert "LD_LIBRARY_PATH" not in os.environ
    monkeypatch.setenv("LD_LIBRARY_PATH", "/frozen/_internal:/theirs")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/theirs")
    forget_frozen_libraries()
    assert os.environ["LD_LIBRARY_PATH"] == "/theirs"
    assert "LD_LIBRARY_PATH_ORIG" not in os.environ
