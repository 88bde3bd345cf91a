"""The detokenizer gives complete characters only, and never part of a stop text."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.worker.parsers.detokenizer import Detokenizer


def run(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    stream = Detokenizer(stop)
    out = [stream.feed(piece) for piece in pieces]
    out.append(stream.finish())
    return out, stream.stopped


def cut(text: str, stop: tuple[str, ...]) -> str:
    """The text before the stop that is complete first: a plain reference implementation."""
    for end in range(len(text) + 1):
        starts = [end - len(s) for s in stop if s and text[:end].endswith(s)]
        if starts:
            return text[: min(starts)]
    return text


def split(data: bytes, borders: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(border % (len(data) + 1) for border in borders)})
    return [data[a:b] for a, b in itertools.pairwise(at)] or [b""]


@given(st.text(), st.lists(st.integers(0, 1000)))
def test_any_split_of_any_text_gives_the_text(text: str, borders: list[int]) -> None:
    out, stopped = run(split(text.encode(), borders))
    assert "".join(out) == text
    assert not stopped


@given(
    st.text("ab€", max_size=30),
    st.lists(st.text("ab€", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple),
    st.lists(st.integers(0, 1000)),
)
def test_any_split_is_cut_where_the_first_stop_is_complete(
    text: str, stop: tuple[str, ...], borders: list[int]
) -> None:
    out, stopped = run(split(text.encode(), borders), stop)
    assert "".join(out) == cut(text, stop)
    assert stopped == any(s in text for s in stop)


def test_a_character_comes_out_when_its_last_byte_has_come() -> None:
    stream = Detokenizer()
    assert [stream.feed(bytes([byte])) for byte in "🙂".encode()] == ["", "", "", "🙂"]


def test_an_unfinished_character_at_the_end_is_dropped() -> None:
    assert run([b"ok", "🙂".encode()[:3]])[0] == ["ok", "", ""]


def test_text_that_may_become_a_stop_is_held_and_released() -> None:
    stream = Detokenizer(("END",))
    assert [stream.feed(piece) for piece in (b"a E", b"N", b"d")] == ["a ", "", "ENd"]
    assert stream.feed(b" EN") == " "
    assert stream.finish() == "EN"


@pytest.mark.parametrize("stop", [(), ("",)])
def test_without_stop_texts_nothing_is_held(stop: tuple[str, ...]) -> None:
    assert Detokenizer(stop).feed(b"abc") == "abc"


WORDS = ["a", "é", "€", "🙂", "👩‍👩‍👧", "नमस्ते", "e\u0301", "\u2028", "\n", " ", "日本語"]
WORDS += ["<|im_", "end|>"]
STOPS = ["🙂", "日本", "<|im_end|>", "\n\n", "€🙂", "é ", "\u0301", "👧", "end"]


def test_ten_thousand_splits_show_no_broken_character_and_no_stop() -> None:
    random = Random(20260101)
    for number in range(10_000):
        text = "".join(random.choices(WORDS, k=random.randrange(1, 24)))
        stop = tuple(random.sample(STOPS, k=random.randrange(4)))
        data = text.encode()
        # Every third case byte by byte, as a model with a byte-level vocabulary may answer.
        borders = range(len(data)) if number % 3 == 0 else random.choices(range(1000), k=12)
        out, stopped = run(split(data, list(borders)), stop)
        shown = "".join(out)
        assert "\ufffd" not in shown
        assert not any(s in shown for s in stop)
        assert shown == cut(text, stop), (text, stop)
        assert stopped == any(s in text for s in stop)
        # Nor may a piece that was already sent be the beginning of a stop that followed.
        assert text.startswith(shown)
