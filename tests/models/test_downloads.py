"""Download jobs against a local hub, interrupted in every way."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from appliance.config.schema import HubSettings
from appliance.errors import Conflict, ModelNotFound, NoSpace, NotFound, RequestError
from appliance.models.hub import job_store
from appliance.models.hub.client import Hub
from appliance.models.hub.downloads import Downloads, DownloadStatus
from appliance.models.hub.file_transfer import FileDownload
from tests.models.fake_hub import Behaviour, serving
from tests.models.fake_hub import Hub as Hostile
from tests.models.gguf_writer import llama

REPO = "Qwen/Qwen2.5-0.5B-Instruct-GGUF"
Q4, Q8 = "qwen2.5-0.5b-instruct-q4_k_m.gguf", "qwen2.5-0.5b-instruct-q8_0.gguf"
PARTS = [f"qwen2.5-0.5b-instruct-fp16-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
CONTENT = llama(n_layer=3).encoded(seed=1)


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with serving() as hub:
        draw = random.Random(3)
        hub.repos[REPO] = {
            "README.md": b"read me",
            "mmproj-f16.gguf": b"eyes",
            Q4: CONTENT,
            Q8: draw.randbytes(200_000),
            **{part: draw.randbytes(150_000) for part in PARTS},
        }
        yield hub


def settings(hub: Hostile, **more: object) -> HubSettings:
    return HubSettings(endpoint=hub.url, **more)  # type: ignore[arg-type]


@pytest.fixture
def make(hostile: Hostile, tmp_path: Path) -> Iterator[Callable[[], Downloads]]:
    """Makes the downloads of an appliance that was just started."""
    made: list[Downloads] = []

    def one() -> Downloads:
        impatient = partial(FileDownload, stall_seconds=0.5, back_off_seconds=0)
        downloads = Downloads(tmp_path, Hub(settings(hostile)), transfer=impatient)
        made.append(downloads)
        downloads.start()
        return downloads

    yield one
    hostile.release.set()
    for downloads in made:
        downloads.close()


def until(downloads: Downloads, id: str, *statuses: str) -> DownloadStatus:
    deadline = time.monotonic() + 60
    while (job := downloads.find(id)).status not in statuses:
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
    return job


def finals(folder: Path) -> list[str]:
    """Files that have their final name."""
    return sorted(
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and job_store.FOLDER not in file.parts
    )


def test_a_model_arrives_under_its_name(
    make: Callable[[], Downloads], hostile: Hostile, tmp_path: Path
) -> None:
    downloads = make()
    arrived = threading.Event()
    downloads.on_done = arrived.set
    job = downloads.add("Qwen/Qwen2.5-0.5B-Instruct")
    assert (job.repo, job.file, job.licence) == (REPO, Q4, "apache-2.0")
    assert arrived.wait(60)
    job = until(downloads, job.id, "done")
    assert job.done_bytes == job.total_bytes == len(CONTENT)
    assert finals(tmp_path) == [f"{REPO}/{Q4}"]
    assert (tmp_path / REPO / Q4).read_bytes() == CONTENT
    assert not list((tmp_path / job_store.FOLDER).glob("*/*"))
    # By the commit, so that it cannot change in between.
    assert [asked.path for asked in hostile.files_asked()] == [
        f"/{REPO}/resolve/c0ffee{'0' * 34}/{Q4}"
    ]


@pytest.mark.parametrize(
    ("name", "wanted", "files"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", "q8", [Q8]),
        ("qwen/qwen2.5-0.5b-instruct", "Q8_0", [Q8]),
        ("qwen2.5-0.5b-instruct", "", [Q4]),
        (REPO, "bf16", PARTS),
        (REPO, PARTS[0], PARTS),
        (REPO, Q8, [Q8]),
    ],
)
def test_name_and_quantization_pick_the_files(
    name: str,
    wanted: str,
    files: list[str],
    make: Callable[[], Downloads],
    hostile: Hostile,
    tmp_path: Path,
) -> None:
    downloads = make()
    job = downloads.add(name, wanted)
    assert job.files == len(files)
    until(downloads, job.id, "done")
    assert finals(tmp_path) == [f"{REPO}/{file}" for file in files]
    for file in files:
        assert (tmp_path / REPO / file).read_bytes() == hostile.repos[REPO][file]


def test_what_there_is_not_is_refused_by_name(make: Callable[[], Downloads]) -> None:
    downloads = make()
    with pytest.raises(ModelNotFound, match="Q4_K_M, Q8_0"):
        downloads.add(REPO, "Q5_K_M")
    with pytest.raises(ModelNotFound, match="nobody/nothing-GGUF"):
        downloads.add("nobody/nothing")
    with pytest.raises(ModelNotFound, match="OWNER/NAME"):
        downloads.add("nonsense")
    for name in ("../etc/passwd", "a/../b", "a/b?x=1", "a/b\nc", "/a", "a/.git"):
        with pytest.raises((RequestError, ModelNotFound)):
            downloads.add(name)
    assert downloads.list() == ()


def test_pause_resume_and_it_goes_on_where_it_was(
    make: Callable[[], Downloads], hostile: Hostile, tmp_path: Path
) -> None:
    hostile.always = Behaviour(cut=100_000, stall=True)
    downloads = make()
    id = downloads.add(REPO, "q4").id
    while downloads.find(id).done_bytes < 100_000:
        time.sleep(0.01)
    job = downloads.find(id)
    assert job.status == "running"
    assert job.bytes_per_second > 0
    assert downloads.pause(id).status == "paused"
    assert downloads.pause(id).status == "paused"
    assert finals(tmp_path) == []
    hostile.always = Behaviour()
    assert downloads.resume(id).status in ("waiting", "running", "done")
    job = until(downloads, id, "done", "failed")
    assert job.status == "done"
    # Each request took up where the one before it had ended.
    starts = hostile.starts()
    assert starts[0] == 0
    assert starts[-1] >= 100_000
    assert starts == sorted(starts)
    with pytest.raises(Conflict):
        downloads.pause(id)
    with pytest.raises(Conflict):
        downloads.cancel(id)
    with pytest.raises(NotFound):
        downloads.pause("nobody")


def test_resumed_at_once_it_runs_again(make: Callable[[], Downloads], hostile: Hostile) -> None:
    """Even before the pause is noticed where the data arrives."""
    hostile.always = Behaviour(cut=100_000, stall=True)
    downloads = make()
    id = downloads.add(REPO, "q4").id
    while downloads.find(id).done_bytes < 100_000:
        time.sleep(0.01)
    for _ in range(10):
        downloads.pause(id)
        downloads.resume(id)
    job = until(downloads, id, "running", "done", "failed")
    assert job.status == "running"
    downloads.cancel(id)


def test_cancel_leaves_nothing(
    make: Callable[[], Downloads], hostile: Hostile, tmp_path: Path
) -> None:
    hostile.always = Behaviour(cut=100_000, stall=True)
    downloads = make()
    id = downloads.add(REPO, "q4").id
    while downloads.find(id).done_bytes < 100_000:
        time.sleep(0.01)
    assert downloads.cancel(id).status == "cancelled"
    hostile.release.set()
    downloads.close()
    assert finals(tmp_path) == []
    assert not list((tmp_path / job_store.FOLDER).glob("*/*"))
    assert make().list() == ()


def test_a_restart_goes_on_with_what_ran_and_leaves_what_was_paused(
    make: Callable[[], Downloads], hostile: Hostile, tmp_path: Path
) -> None:
    hostile.always = Behaviour(cut=50_000, stall=True)
    before = make()
    running, paused = before.add(REPO, "q4").id, before.add(REPO, "q8").id
    for id in (running, paused):
        while before.find(id).done_bytes < 50_000:
            time.sleep(0.01)
    before.pause(paused)
    before.close()
    asked = len(hostile.asked)
    hostile.always = Behaviour()
    after = make()
    assert until(after, running, "done", "failed").status == "done"
    assert after.find(paused).status == "paused"
    assert hostile.starts()[-1] == 50_000
    # The API was not asked again: the commit fixes the files.
    assert all("/resolve/" in one.path for one in hostile.asked[asked:])
    after.resume(paused)
    until(after, paused, "done")
    assert finals(tmp_path) == [f"{REPO}/{Q4}", f"{REPO}/{Q8}"]


@pytest.mark.parametrize(
    "lie",
    [
        Behaviour(content=b"x" * len(CONTENT)),
        Behaviour(content=CONTENT[:-1]),
        Behaviour(length=len(CONTENT) + 1),
        Behaviour(extra=b"x"),
        Behaviour(cut=0),
        Behaviour(cut=1000, content=b"y" * 1000),
        Behaviour(status=500),
        Behaviour(status=404),
        Behaviour(status=403),
    ],
)
def test_no_bad_file_gets_a_name_and_it_can_be_tried_again(
    lie: Behaviour, make: Callable[[], Downloads], hostile: Hostile, tmp_path: Path
) -> None:
    hostile.always = lie
    downloads = make()
    id = downloads.add(REPO, "q4").id
    job = until(downloads, id, "failed", "done")
    assert job.status == "failed"
    assert job.error and Q4 in job.error
    assert finals(tmp_path) == []
    downloads.close()
    # A failure is kept over a restart, until somebody retries.
    hostile.always = Behaviour()
    downloads = make()
    assert downloads.find(id).status == "failed"
    assert downloads.add(REPO, "q4").id == id
    assert until(downloads, id, "done", "failed").status == "done"
    assert (tmp_path / REPO / Q4).read_bytes() == CONTENT


def test_of_several_files_none_has_its_name_before_all_are_right(
    make: Callable[[], Downloads], hostile: Hostile, tmp_path: Path
) -> None:
    downloads = make()
    hostile.plan = [Behaviour(), Behaviour(), *[Behaviour(content=b"z" * 150_000)]]
    id = downloads.add(REPO, "bf16").id
    assert until(downloads, id, "failed", "done").status == "failed"
    assert finals(tmp_path) == []
    downloads.resume(id)
    assert until(downloads, id, "done", "failed").status == "done"
    assert finals(tmp_path) == [f"{REPO}/{part}" for part in PARTS]
    assert len(hostile.files_asked()) == 4


def test_a_damaged_file_under_the_name_is_replaced(
    make: Callable[[], Downloads], hostile: Hostile, tmp_path: Path
) -> None:
    final = tmp_path / REPO / Q4
    final.parent.mkdir(parents=True)
    final.write_bytes(b"?" * len(CONTENT))
    downloads = make()
    until(downloads, downloads.add(REPO, "q4").id, "done")
    assert final.read_bytes() == CONTENT
    until(downloads, downloads.add(REPO, "q4").id, "done")
    assert len(hostile.files_asked()) == 1


def test_two_who_want_the_same_share_a_download(
    make: Callable[[], Downloads], hostile: Hostile
) -> None:
    hostile.always = Behaviour(drip=0.1)
    downloads = make()
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.append(downloads.add(REPO, "q4").id)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 1
    until(downloads, ids[0], "done")
    assert len(hostile.files_asked()) == 1


def test_space_is_checked_first(
    make: Callable[[], Downloads], hostile: Hostile, tmp_path: Path
) -> None:
    hostile.sizes[Q4] = 10**15
    downloads = make()
    with pytest.raises(NoSpace, match=r"1000000\.0 GB"):
        downloads.add(REPO, "q4")
    assert hostile.files_asked() == []
    assert downloads.list() == ()


def test_a_folder_that_cannot_be_written_fails_the_download_and_nothing_else(
    make: Callable[[], Downloads], hostile: Hostile, tmp_path: Path
) -> None:
    (tmp_path / "Qwen").write_text("a file where a folder must be")
    downloads = make()
    job = until(downloads, downloads.add(REPO, "q4").id, "failed", "done")
    assert job.status == "failed"
    (tmp_path / "Qwen").unlink()
    downloads.resume(job.id)
    until(downloads, job.id, "done")
    assert len(hostile.files_asked()) == 1


def test_two_appliances_do_not_write_into_one_folder(
    make: Callable[[], Downloads], hostile: Hostile
) -> None:
    hostile.always = Behaviour(cut=1000, stall=True)
    first, second = make(), make()
    id = first.add(REPO, "q4").id
    with pytest.raises(Conflict, match="another appliance"):
        second.add(REPO, "q4")
    first.close()
    hostile.always = Behaviour()
    second.start()
    assert until(second, id, "done", "failed").status == "done"


def test_a_folder_that_cannot_be_written_is_reported(
    make: Callable[[], Downloads], hostile: Hostile, tmp_path: Path
) -> None:
    (tmp_path / job_store.FOLDER).write_text("a file where a folder must be")
    downloads = make()
    with pytest.raises(NoSpace, match="cannot be written"):
        downloads.add(REPO, "q4")
    assert hostile.files_asked() == []


def test_nonsense_among_the_jobs_is_left_alone(
    make: Callable[[], Downloads], tmp_path: Path
) -> None:
    for number, text in enumerate(("", "{", "[]", '{"id": "4"}')):
        folder = tmp_path / job_store.FOLDER / str(number)
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(text)
    assert make().list() == ()
    assert len(list((tmp_path / job_store.FOLDER).glob("*/job.json"))) == 4
