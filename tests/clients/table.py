"""The table of clients in `docs/clients.md`, made from what the clients did.

python -m tests.clients.table      runs all of them and writes it
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from tests.clients.agent_programs import AGENTS, DONE
from tests.clients.offline import LIBRARIES, PROGRAMS, ROOT, run

DOCUMENT = ROOT / "docs" / "clients.md"
BEGIN = "| Client | Version | API | Does |\n| --- | --- | --- | --- |\n"


def version(package: str, lock: str) -> str:
    """The version in a lock file."""
    if lock in ("agents", "node"):
        packages = json.loads((PROGRAMS / lock / "package.json").read_text())["dependencies"]
        return str(packages[package])
    text = (PROGRAMS / "python" / f"{lock}.txt").read_text()
    found = re.search(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)
    assert found, package
    return found[1]


def did(kind: str, result: Any) -> dict[str, dict[str, str]]:
    """API → what was tried → what went wrong."""
    if kind == "agent":
        # Alone on its line, unlike in the file that was read, whose byte 3 may have been escaped.
        done = re.search(rf"^\W*{re.escape(DONE)}($|\\u0003)", result["out"], re.MULTILINE)
        done = done or re.search(rf'"result":"{re.escape(DONE)}"', result["out"])
        return {"": {"a tool call, its result, an answer": "" if done else str(result)}}
    found: dict[str, dict[str, str]] = {}
    for report in result:
        found.setdefault(report["api"], {}).update(report["tried"])
    return found


def rows(kind: str, name: str, found: dict[str, dict[str, str]]) -> list[str]:
    """The table's rows for a client of which all that was tried worked."""
    if kind == "agent":
        agent = AGENTS[name]
        known = version(agent.package, "agents")
        found = {agent.api: found[""]}
    else:
        library = LIBRARIES[name]
        known = version(library.package, library.lock)
    return [
        f"| {name} | {known} | {api} | {', '.join(sorted(tried))} |\n"
        for api, tried in found.items()
        if not any(tried.values())
    ]


def main() -> None:
    """Run all clients and write what they did."""
    made = []
    for kind, names in (("agent", AGENTS), ("library", LIBRARIES)):
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                found = did(kind, run(Path(folder), kind, name))
            made += rows(kind, name, found)
            for api, tried in found.items():
                for what, wrong in tried.items():
                    print("wrong:" if wrong else "works:", name, api, what, wrong)
    text = DOCUMENT.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition("\n\n")
    DOCUMENT.write_text(f"{head}{BEGIN}{''.join(made)}\n{tail}", "utf-8")


if __name__ == "__main__":
    main()
