"""The worker's loops, and the process that is kept alive beside the server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from sqlalchemy import update

from app import worker as worker_module
from app.catalog.leases import Leases
from app.catalog.tables import images
from app.catalog.workers import SILENT_SECONDS, Workers
from app.errors import ModelUnavailable
from app.library.compiling import Compiler
from app.library.following import Follower
from app.media.decoding import Decoder
from app.models import Choice, Counts, ImageState
from app.vectors.background import Encoders
from app.vectors.encoder import Encoder
from app.worker import REPORT_BUSY_SECONDS, REPORT_IDLE_SECONDS, Worker, WorkerProcess, worker_name
from tests.catalogs import empty_catalog
from tests.conftest import wait_for
from tests.encoders import ColourEncoder, GatedEncoder
from tests.library.conftest import MAX_PIXELS, Rooms
from tests.pictures import with_captions

if TYPE_CHECKING:
    from app.vectors.shared import SharedIndexes

HOST = socket.gethostname()


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(1, 30, MAX_PIXELS)
    yield made
    made.close()


@pytest.fixture
def rooms(tmp_path: Path, decoder: Decoder) -> Iterator[Rooms]:
    database = empty_catalog(tmp_path / "index")
    yield Rooms(tmp_path, database, decoder)
    database.close()


class Compiling:
    """In place of the process that compiles: counts how often it is begun, and says whether it was ended."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = False

    def start(self, _model: str) -> None:
        self.begun += 1

    def stop(self) -> None:
        self.ended = True


def worker_of(rooms: Rooms, load: Callable[[], Encoder] = ColourEncoder) -> Worker:
    return worker_with(rooms, Encoders(lambda _source: load()))


def worker_with(rooms: Rooms, encoders: Encoders, compiler: Compiling | None = None) -> Worker:
    workers, compiling = Workers(rooms.database), cast("Compiler", compiler)
    models = (rooms.switches, encoders, "colours", compiling)
    return Worker("worker", rooms.indexer, rooms.images, rooms.vectors, workers, *models)


@contextmanager
def working(worker: Worker) -> Iterator[Worker]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL_SECONDS", "REPORT_BUSY_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(worker_module, name, 0.05)


# -- the loops


@pytest.mark.usefixtures("impatient")
def test_a_worker_indexes_what_is_there_and_what_comes(rooms: Rooms) -> None:
    rooms.add("red", "blue")
    with working(worker_of(rooms)):
        wait_for(lambda: rooms.images.counts() == Counts(indexed=2))
        rooms.add("green")
        wait_for(lambda: rooms.images.counts() == Counts(indexed=3))


@pytest.mark.usefixtures("impatient")
def test_a_worker_reads_texts_of_pictures_from_before_there_were_any(rooms: Rooms) -> None:
    rooms.intake.add_bytes(with_captions("Ferry"), "a.jpg")
    rooms.index()
    with rooms.database.writing() as connection:
        connection.execute(update(images).values(captions=None))
    with working(worker_of(rooms)):
        wait_for(lambda: rooms.image(1).captions.title == "Ferry")


def test_a_worker_that_is_woken_does_not_wait(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(worker_module, "REPORT_BUSY_SECONDS", 0.05)
    rooms.add("red")
    with working(worker_of(rooms)) as worker:
        wait_for(lambda: rooms.images.counts() == Counts(indexed=1))
        rooms.add("blue")
        worker.wake()
        wait_for(lambda: rooms.images.counts() == Counts(indexed=2))


@pytest.mark.usefixtures("impatient")
def test_pictures_are_prepared_while_the_model_still_loads(rooms: Rooms) -> None:
    gate = threading.Event()

    def load() -> Encoder:
        gate.wait(60)
        return ColourEncoder()

    rooms.add("red")
    with working(worker_of(rooms, load)):
        wait_for(lambda: rooms.images.counts() == Counts(prepared=1))
        gate.set()
        wait_for(lambda: rooms.images.counts() == Counts(indexed=1))


@pytest.mark.usefixtures("impatient")
def test_without_a_model_pictures_are_prepared_and_the_complaint_is_told(rooms: Rooms) -> None:
    def load() -> Encoder:
        raise ModelUnavailable("There is no such model.")

    rooms.add("red")
    with working(worker_of(rooms, load)):
        wait_for(lambda: rooms.images.counts() == Counts(prepared=1))
        wait_for(lambda: Workers(rooms.database).status().message == "There is no such model.")


@pytest.mark.usefixtures("impatient")
def test_a_model_that_could_not_be_had_is_tried_again(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    network: list[bool] = []

    def load() -> Encoder:
        if not network:
            raise ModelUnavailable("The hub did not answer.")
        return ColourEncoder()

    monkeypatch.setattr("app.vectors.background.RETRY_SECONDS", 0.05)
    rooms.add("red")
    with working(worker_of(rooms, load)):
        wait_for(lambda: Workers(rooms.database).status().message == "The hub did not answer.")
        network.append(True)
        wait_for(lambda: rooms.images.counts() == Counts(indexed=1))
        wait_for(lambda: Workers(rooms.database).status().message is None)


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_can_not_help_with_a_filling_says_so(rooms: Rooms) -> None:
    def load(source: str) -> Encoder:
        if source == "rotated":
            raise ModelUnavailable("There is no such model.")
        return ColourEncoder()

    rooms.add("red")
    rooms.index()
    rooms.switches.want("rotated")
    rooms.switches.begin("rotated", ColourEncoder("rotated").space, "rotated")
    with working(worker_with(rooms, Encoders(load))):
        wait_for(lambda: "can't load it: There is no such" in (Workers(rooms.database).status().message or ""))
    assert rooms.switches.read().wanted == "rotated"


@pytest.mark.usefixtures("impatient")
def test_while_another_space_serves_nothing_is_embedded(rooms: Rooms) -> None:
    rooms.add("red")
    rooms.vectors.serve(ColourEncoder(fingerprint="2").space)
    with working(worker_of(rooms)):
        wait_for(lambda: rooms.images.counts() == Counts(prepared=1))
    assert rooms.images.counts() == Counts(prepared=1)


@pytest.mark.usefixtures("impatient")
def test_a_worker_with_another_model_than_the_serving_one_says_so(rooms: Rooms) -> None:
    rooms.add("red")
    rooms.vectors.serve(ColourEncoder("other").space)
    with working(worker_of(rooms)):
        wait_for(lambda: "than what serves" in (Workers(rooms.database).status().message or ""))


@pytest.mark.usefixtures("impatient")
def test_a_failure_of_any_kind_ends_one_round_and_not_the_worker(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prepare, failures = rooms.indexer.prepare_next_batch, [OSError(28, "No space left on device"), KeyError("?")]

    def fail_twice() -> bool:
        if failures:
            rooms.images.claim(ImageState.PENDING, "worker", 1)
            raise failures.pop()
        return prepare()

    monkeypatch.setattr(rooms.indexer, "prepare_next_batch", fail_twice)
    rooms.add("red")
    with working(worker_of(rooms)):
        wait_for(lambda: rooms.images.counts() == Counts(indexed=1))
    assert caplog.text.count("work failed") == 2


@pytest.mark.usefixtures("impatient")
def test_a_worker_says_that_it_is_there_and_leaves(rooms: Rooms) -> None:
    workers = Workers(rooms.database)
    with working(worker_of(rooms)):
        wait_for(lambda: workers.status().alive)
    assert not workers.status().alive


@pytest.mark.usefixtures("impatient")
def test_the_model_is_compiled_beside_the_work_and_taken_over_when_that_is_done(rooms: Rooms) -> None:
    compiled: list[tuple[Encoder, Choice]] = []
    better = GatedEncoder()
    encoders = Encoders(lambda _source: ColourEncoder(), improve=lambda _encoder: compiled[0] if compiled else None)
    compiler = Compiling()
    worker = worker_with(rooms, encoders, compiler)
    encoder = encoders.of("colours")
    rooms.add("red")
    with working(worker):
        wait_for(lambda: compiler.begun > 0)
        wait_for(lambda: rooms.images.counts() == Counts(indexed=1))
        compiled.append((better, Choice("onnx int8", "onnx int8")))
        wait_for(lambda: encoder.status.choice is not None)
        begun = compiler.begun
        better.gate.set()
        rooms.add("blue")
        wait_for(lambda: rooms.images.counts() == Counts(indexed=2))
        assert encoder.get() is better
    assert compiler.begun == begun, "nothing is compiled twice"
    assert compiler.ended


def test_an_idle_worker_speaks_often_enough_to_count_as_alive() -> None:
    assert REPORT_IDLE_SECONDS + 2 * REPORT_BUSY_SECONDS < SILENT_SECONDS


@pytest.mark.usefixtures("impatient")
def test_what_it_had_when_it_stops_is_given_back(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = rooms.add("red")
    monkeypatch.setattr(rooms.indexer, "prepare_next_batch", lambda: False)
    with working(worker_of(rooms)):
        wait_for(lambda: Workers(rooms.database).status().alive)
        rooms.images.claim(ImageState.PENDING, "worker", 9)
    assert rooms.images.claimers() == []
    assert [image.id for image in rooms.images.claim(ImageState.PENDING, "other", 9)] == ids


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.usefixtures("impatient")
def test_claims_of_workers_that_died_on_this_machine_are_taken_over(rooms: Rooms) -> None:
    rooms.add("black", "green", "blue", "red")  # the newest are claimed first
    claimers = [f"{HOST}:{dead_pid()}", "worker", f"{HOST}:{os.getpid()}", "elsewhere:1"]
    for claimer in claimers:
        rooms.images.claim(ImageState.PENDING, claimer, 1)
    with working(worker_of(rooms)):
        wait_for(lambda: rooms.images.counts() == Counts(pending=2, indexed=2))
    assert {image.filename for image in rooms.images.newest(9, state=ImageState.INDEXED)} == {"red.jpg", "blue.jpg"}
    assert set(rooms.images.claimers()) == set(claimers[2:]), "of the living and of other machines nothing is known"


@pytest.mark.usefixtures("impatient")
def test_those_of_a_worker_that_dies_beside_a_living_one_are_taken_over_as_well(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were seen alive: with the same name there may be a container, whose processes can't be seen."""
    monkeypatch.setattr(worker_module, "DEAD_SECONDS", 0.05)
    monkeypatch.setattr(worker_module, "REPORT_BUSY_SECONDS", 0.05)
    prepare, died = rooms.indexer.prepare_next_batch, threading.Event()
    monkeypatch.setattr(rooms.indexer, "prepare_next_batch", lambda: died.is_set() and prepare())
    other = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    names, worker = [f"{HOST}:{other.pid}", f"{HOST}:{dead_pid()}"], worker_of(rooms)
    with working(worker):
        wait_for(lambda: Workers(rooms.database).status().alive)
        rooms.add("black", "red")
        for name in names:
            assert rooms.images.claim(ImageState.PENDING, name, 1)
        wait_for(lambda: worker._seen_alive == set(names[:1]))
        other.communicate()
        died.set()
        wait_for(lambda: rooms.images.counts() == Counts(pending=1, indexed=1))
        assert rooms.images.claimers() == names[1:]


def test_who_died_while_filling_a_vector_engine_holds_nobody_up(rooms: Rooms) -> None:
    """Also who was no worker: a `migrate --vectors` that was killed."""
    leases, worker = Leases(rooms.database), worker_of(rooms)
    worker._follower = Follower("worker", rooms.vectors, rooms.images, leases, cast("SharedIndexes", None))
    assert leases.take("vectors 1", f"{HOST}:{dead_pid()}", 600)
    assert leases.take("vectors 2", "elsewhere:1", 600)
    worker._release_dead(start=True)
    assert leases.holders() == ["elsewhere:1"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="zombies are told by /proc")
@pytest.mark.usefixtures("impatient")
def test_a_worker_that_ended_is_dead_before_anybody_asked_how_it_ended(rooms: Rooms) -> None:
    rooms.add("red")
    zombie = subprocess.Popen([sys.executable, "-S", "-c", ""], stdout=subprocess.PIPE)
    assert zombie.stdout is not None
    zombie.stdout.read()  # to its end
    wait_for(lambda: b") Z " in Path(f"/proc/{zombie.pid}/stat").read_bytes())
    rooms.images.claim(ImageState.PENDING, f"{HOST}:{zombie.pid}", 1)
    with working(worker_of(rooms)):
        wait_for(lambda: rooms.images.counts() == Counts(indexed=1))
    zombie.communicate()


def test_workers_are_named_by_host_and_process() -> None:
    assert worker_name() == f"{HOST}:{os.getpid()}"


# -- the process beside the server


class Stubborn(threading.Event):
    """Rests without resting; `rests` are the seconds that it should have."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            self.rests.append(timeout)
        return super().wait(0)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """What a stand-in for the worker writes down."""
    path = tmp_path / "notes"
    path.write_bytes(b"")
    return path


@contextmanager
def supervised(script: str, notes: Path, stopping: threading.Event | None = None) -> Iterator[WorkerProcess]:
    command = [sys.executable, "-S", "-c", f"import os, sys, time\nnotes = open({str(notes)!r}, 'ab', 0)\n{script}"]
    process = WorkerProcess(command, {"WHO": "worker"})
    process._stopping = stopping or process._stopping
    process.start()
    try:
        yield process
    finally:
        process.stop()


LISTEN = """
notes.write(b"begin ")
while woken := os.read(0, 1):
    notes.write(b"woken ")
notes.write(b"end ")
"""


def test_a_wake_reaches_the_process_and_the_end_of_its_input_stops_it(notes: Path) -> None:
    with supervised(LISTEN, notes) as process:
        wait_for(lambda: notes.read_bytes() == b"begin ")
        process.wake()
        wait_for(lambda: notes.read_bytes() == b"begin woken ")
    assert notes.read_bytes() == b"begin woken end "


def test_it_has_the_environment_it_was_given(notes: Path) -> None:
    with supervised("notes.write(os.environ['WHO'].encode()); os.read(0, 1)", notes):
        wait_for(lambda: notes.read_bytes() == b"worker")


def test_one_that_dies_is_started_again_after_rests_that_grow(notes: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopping = Stubborn()
    with supervised("notes.write(b'x'); sys.exit(3)", notes, stopping) as process:
        wait_for(lambda: len(stopping.rests) >= 7)
        process.wake()
    assert stopping.rests[:7] == [2, 4, 8, 16, 30, 30, 30]
    assert len(notes.read_bytes()) >= 7
    assert "code=3" in caplog.text


def test_one_that_was_killed_comes_back_under_another_pid(notes: Path) -> None:
    with supervised(LISTEN, notes, Stubborn()) as process:
        wait_for(lambda: notes.read_bytes() == b"begin ")
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: notes.read_bytes() == b"begin begin ")
        assert process.pid != first
        process.wake()
        wait_for(lambda: notes.read_bytes() == b"begin begin woken ")


def test_one_that_hangs_is_killed(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "STOP_SECONDS", 0.1)
    with supervised("notes.write(b'begin'); time.sleep(3600)", notes) as process:
        wait_for(lambda: notes.read_bytes() == b"begin")
        running = process._process
    assert running is not None
    assert running.returncode == -signal.SIGKILL


def test_one_that_does_not_listen_holds_nobody_up(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "STOP_SECONDS", 0.1)
    with supervised("notes.write(b'begin'); time.sleep(3600)", notes) as process:
        wait_for(lambda: notes.read_bytes() == b"begin")
        for _ in range(100_000):  # more than a pipe holds
            process.wake()


def test_one_that_cannot_be_started_is_tried_again(
    tmp_path: Path, notes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "program"
    process = WorkerProcess([str(program), str(notes)], {})
    process._stopping = Stubborn()
    process.start()
    wait_for(lambda: "could not be started" in caplog.text)
    (tmp_path / "ready").write_text(f"#!{sys.executable} -S\nimport sys\nopen(sys.argv[1], 'a').write('x')\n")
    (tmp_path / "ready").chmod(0o700)
    (tmp_path / "ready").rename(program)
    wait_for(lambda: bool(notes.read_bytes()))
    process.stop()


def test_stopping_what_was_never_started_is_fine() -> None:
    process = WorkerProcess(["never"], {})
    process.wake()
    process.stop()
    assert process.pid is None


def test_stopping_at_once_leaves_nothing_running(notes: Path) -> None:
    for _ in range(3):
        with supervised("os.read(0, 1)", notes) as process:
            pass
        running = process._process
        assert running is None or running.wait(30) is not None
