"""A request whose tokenizing never ends does not block the model for others."""

from appliance.engine.types import SamplingParams
from tests.engine.conftest import MakeEngine
from tests.engine.engine_client import CollectedReply, ask
from tests.engine.fake_runner import reply_to

SHORT = SamplingParams(max_tokens=5)


def test_it_is_refused_and_the_others_are_answered_by_the_next_worker(
    make_fake: MakeEngine,
) -> None:
    engine = make_fake(reading_timeout=1.0)
    before = ask(engine, "first", SHORT)
    assert before.text == reply_to("first", 5)
    bad = CollectedReply(engine, "endless: x", SHORT)
    behind = CollectedReply(engine, "behind", SHORT)
    assert bad.wait().failed.code == "invalid_request"
    assert behind.wait().text == reply_to("behind", 5)
    assert engine.state.restarts == 1


def test_a_cancel_reaches_those_behind_it(make_fake: MakeEngine) -> None:
    engine = make_fake()
    CollectedReply(engine, "endless: x", SHORT)
    behind = CollectedReply(engine, "behind", SHORT)
    engine.cancel(behind.id)
    assert behind.wait().finished.reason == "cancelled"
    assert engine.state.restarts == 0
