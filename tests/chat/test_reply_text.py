"""A client that reconnects at an offset in a reply receives all that follows, once."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.chat.reply_text import ReplyText, TextDelta


def joined(pieces: list[TextDelta]) -> str:
    """The text in order, with the reasoning in capitals."""
    return "".join(piece.text + piece.reasoning.upper() for piece in pieces)


@given(
    st.text("ab", max_size=3),
    st.text("ab", max_size=3),
    st.lists(st.booleans(), max_size=20),
    st.data(),
)
def test_what_follows_a_place(
    text: str, thought: str, kinds: list[bool], data: st.DataObject
) -> None:
    spoken = ReplyText(text, thought)
    assert spoken.began == spoken.end == len(text + thought)
    words = thought.upper() + text
    for thinks in kinds:
        more = data.draw(st.text("xyz", max_size=4))
        spoken.add(**{"reasoning" if thinks else "text": more})
        words += more.upper() if thinks else more
        if data.draw(st.booleans()):
            answer, reasoning = spoken.whole()
            assert answer == "".join(letter for letter in words if letter.islower())
            assert reasoning.upper() == "".join(letter for letter in words if letter.isupper())
        assert spoken.end == len(words)
        place = data.draw(st.integers(0, len(words) + 1))
        pieces = spoken.after(place)
        assert joined(pieces) == words[place:]
        for piece in pieces:
            place += len(piece.text) + len(piece.reasoning)
            assert piece.offset == place
