"""The documentation of chat templates shows what the program does."""

from tests.worker.parsers.families import DOCUMENT, table


def test_the_documented_table_is_true() -> None:
    assert DOCUMENT.read_text("utf-8").endswith(table()), (
        "run python -m tests.worker.parsers.families"
    )
