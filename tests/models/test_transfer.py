"""One file from a hostile hub: it arrives correct and complete, or not at all."""

import hashlib
import random
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from appliance.errors import ApplianceError, DownloadFailed, NoSpace, RequestError
from appliance.models.hub.file_transfer import ATTEMPTS, ExpectedFile, FileDownload, Stopped
from tests.models.fake_hub import Behaviour, Hub, serving

CONTENT = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
NAME = "tiny.gguf"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        hub.repos["a/b"] = {NAME: CONTENT}
        yield hub


def want(hub: Hub, content: bytes = CONTENT, sha256: str | None = None) -> ExpectedFile:
    return ExpectedFile(
        url=f"{hub.url}/a/b/resolve/main/{NAME}",
        name=NAME,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest() if sha256 is None else sha256,
        blob=hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest(),
    )


def transfer(what: ExpectedFile, part: Path, **settings: object) -> FileDownload:
    usual = {"headers": {}, "stopped": lambda _: False, "stall_seconds": 5, "back_off_seconds": 0}
    return FileDownload(what, part, **(usual | settings))  # type: ignore[arg-type]


def test_a_download_arrives(hub: Hub, tmp_path: Path) -> None:
    transfer(want(hub), tmp_path / "part").run()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert hub.starts() == [0]


def test_what_git_keeps_itself_is_compared_by_gits_hash(hub: Hub, tmp_path: Path) -> None:
    transfer(want(hub, sha256=""), tmp_path / "part").run()
    assert (tmp_path / "part").read_bytes() == CONTENT
    hub.always = Behaviour(content=OTHER)
    with pytest.raises(DownloadFailed):
        transfer(want(hub, sha256=""), tmp_path / "other").run()
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("percent", range(1, 100))
def test_a_download_cut_at_every_percent_resumes_there(
    percent: int, hub: Hub, tmp_path: Path
) -> None:
    at = len(CONTENT) * percent // 100
    hub.plan = [Behaviour(cut=at)]
    transfer(want(hub), tmp_path / "part").run()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert hub.starts() == [0, at]


def test_a_download_that_is_cut_repeatedly_arrives(hub: Hub, tmp_path: Path) -> None:
    hub.always = Behaviour(cut=7001)
    transfer(want(hub), tmp_path / "part").run()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert hub.starts() == list(range(0, len(CONTENT), 7001))


def test_a_hub_that_never_gives_anything_is_given_up(hub: Hub, tmp_path: Path) -> None:
    hub.always = Behaviour(cut=0)
    with pytest.raises(DownloadFailed, match=NAME):
        transfer(want(hub), tmp_path / "part").run()
    assert len(hub.starts()) == ATTEMPTS


@pytest.mark.parametrize(
    "lie",
    [
        Behaviour(ignore_range=True),
        Behaviour(shift=10),
        Behaviour(length=len(CONTENT) * 2),
        Behaviour(length=10),
        Behaviour(content=CONTENT + b"more"),
        Behaviour(content=CONTENT[:1000]),
        Behaviour(extra=b"more than there should be"),
        Behaviour(encoding="gzip"),
        Behaviour(status=500),
        Behaviour(status=503, retry_after="0"),
        Behaviour(status=429, retry_after="nonsense"),
        Behaviour(status=416),
        Behaviour(status=204),
        Behaviour(etag='"another"', content=OTHER),
        Behaviour(etag=""),
        Behaviour(etag='W/"weak"'),
        Behaviour(cut=0),
        Behaviour(cut=5000, stall=True),
    ],
)
@pytest.mark.parametrize("before", [0, 123_456])
def test_after_one_wrong_response_the_file_still_arrives(
    lie: Behaviour, before: int, hub: Hub, tmp_path: Path
) -> None:
    hub.plan = [Behaviour(cut=before), lie] if before else [lie]
    what = want(hub)
    try:
        transfer(what, tmp_path / "part", stall_seconds=0.3).run()
    except DownloadFailed:
        # A complete but wrong file is not kept, and the next attempt gets correct data.
        assert not (tmp_path / "part").exists()
        assert lie.content is OTHER
        transfer(what, tmp_path / "part").run()
    assert (tmp_path / "part").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "lie",
    [
        Behaviour(content=OTHER),
        Behaviour(content=OTHER, etag='"same"'),
        Behaviour(length=10),
        Behaviour(length=len(CONTENT) + 10),
        Behaviour(content=CONTENT + b"more"),
        Behaviour(content=CONTENT[:-1]),
        Behaviour(content=b""),
        Behaviour(extra=b"x"),
        Behaviour(encoding="br"),
        Behaviour(status=404),
        Behaviour(status=500),
    ],
)
def test_a_hub_that_always_sends_wrong_data_gives_nothing(
    lie: Behaviour, hub: Hub, tmp_path: Path
) -> None:
    hub.always = lie
    with pytest.raises(DownloadFailed) as caught:
        transfer(want(hub), tmp_path / "part").run()
    assert NAME in caught.value.message
    part = tmp_path / "part"
    assert not part.exists() or CONTENT.startswith(part.read_bytes())


def test_a_wrong_hash_in_the_catalogue_gives_nothing(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="hash"):
        transfer(want(hub, sha256="0" * 64), tmp_path / "part").run()
    assert not (tmp_path / "part").exists()


def test_a_file_that_changes_in_between_is_begun_anew(hub: Hub, tmp_path: Path) -> None:
    """Part of the old file must not remain in the new one."""
    hub.plan = [Behaviour(content=OTHER, etag='"old"', cut=100_000)]
    transfer(want(hub), tmp_path / "part").run()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert hub.files_asked()[1].headers["if-range"] == '"old"'


def test_a_range_that_is_not_what_it_says_is_found_out(hub: Hub, tmp_path: Path) -> None:
    hub.plan = [Behaviour(cut=1000), Behaviour(shift_silently=1), Behaviour(shift_silently=1)]
    transfer(want(hub), tmp_path / "part").run()
    assert (tmp_path / "part").read_bytes() == CONTENT


@pytest.mark.parametrize("before", [b"", CONTENT[:77_777], OTHER[:77_777], CONTENT + b"long"])
def test_it_goes_on_with_what_is_there(before: bytes, hub: Hub, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(before)
    if before == OTHER[:77_777]:
        with pytest.raises(DownloadFailed, match="hash"):
            transfer(want(hub), part).run()
        assert not part.exists()
        return
    transfer(want(hub), part).run()
    assert part.read_bytes() == CONTENT
    assert hub.starts() == [len(before) if CONTENT.startswith(before) else 0]


def test_what_is_whole_already_is_only_compared(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT)
    transfer(want(hub), tmp_path / "part").run()
    assert hub.asked == []


@pytest.mark.parametrize("status", [401, 403])
def test_an_access_refusal_names_the_token_variable(status: int, hub: Hub, tmp_path: Path) -> None:
    hub.always = Behaviour(status=status)
    with pytest.raises(RequestError, match="HF_TOKEN"):
        transfer(want(hub), tmp_path / "part").run()
    assert len(hub.asked) == 1


def test_a_download_stops_on_request_and_keeps_the_partial_file(hub: Hub, tmp_path: Path) -> None:
    hub.always = Behaviour(cut=200_000, stall=True)
    stop = threading.Event()
    part = tmp_path / "part"
    ended: list[type[BaseException]] = []

    def work() -> None:
        try:
            transfer(want(hub), part, stopped=stop.wait, stall_seconds=0.2).run()
        except (Stopped, ApplianceError) as ex:
            ended.append(type(ex))

    thread = threading.Thread(target=work)
    thread.start()
    while not part.exists() or part.stat().st_size < 200_000:
        pass
    stop.set()
    thread.join(30)
    assert ended == [Stopped]
    hub.always = Behaviour()
    transfer(want(hub), part).run()
    assert part.read_bytes() == CONTENT
    assert hub.starts()[-1] == 200_000


def test_a_full_disk_is_reported_and_the_partial_file_is_kept(hub: Hub, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    part = tmp_path / "part"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal = pytest.importorskip("signal")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(NoSpace, match=NAME):
            transfer(want(hub), part).run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert CONTENT.startswith(part.read_bytes())
    transfer(want(hub), part).run()
    assert part.read_bytes() == CONTENT


def test_a_token_does_not_follow_to_another_place(tmp_path: Path) -> None:
    with serving(cdn=True) as hub:
        hub.repos["a/b"] = {NAME: CONTENT}
        hub.token = "hf_secret"
        run = partial(transfer, want(hub), tmp_path / "part")
        with pytest.raises(RequestError):
            run().run()
        run(headers={"Authorization": "Bearer hf_secret"}).run()
        assert (tmp_path / "part").read_bytes() == CONTENT
        at_cdn = [asked for asked in hub.files_asked() if asked.server == "cdn"]
        assert at_cdn
        assert not any("authorization" in asked.headers for asked in at_cdn)


def test_a_redirect_loop_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.cdn = hub.url
    with pytest.raises(DownloadFailed, match="redirect"):
        transfer(want(hub), tmp_path / "part").run()
