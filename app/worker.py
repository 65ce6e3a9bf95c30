"""The worker: two loops over the library's units of work, and the child process the server keeps alive for them."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from app.catalog.images import Images
from app.catalog.switching import Switches
from app.catalog.vectors import Vectors
from app.catalog.workers import Workers
from app.errors import ModelUnavailable, StorageUnavailable
from app.library.compiling import Compiler
from app.library.filling import Filler
from app.library.following import Follower
from app.library.indexing import Indexer
from app.models import ImageState, ModelState
from app.vectors.background import Encoders

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
"""How long new work may lie unseen when nobody wakes the worker (another machine took the picture in)."""
REPORT_BUSY_SECONDS = 1.0
REPORT_IDLE_SECONDS = 30.0
"""An idle worker says so rarely: each word is a write, and disks want to sleep."""
DEAD_SECONDS = 10.0
"""How often others of this machine are looked for that died over their work."""
RATE_SECONDS = 20.0
"""The rate is an average over this long."""
RETRY_SECONDS = 5.0
"""Rest after an unexpected failure (disk full, catalog locked), before the work is tried again."""
STOP_SECONDS = 20.0
"""A batch of a slow model may take this long; then the child is killed, which loses nothing."""


def worker_name() -> str:
    """Unique among the living: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Worker:
    """Prepares and embeds until told to stop. The model loads meanwhile: preparing does not wait for it."""

    def __init__(
        self,
        name: str,
        indexer: Indexer,
        images: Images,
        vectors: Vectors,
        workers: Workers,
        switches: Switches,
        encoders: Encoders,
        setting: str,
        compiler: Compiler | None = None,
        follower: Follower | None = None,
    ) -> None:
        self._name = name
        self._indexer = indexer
        self._images = images
        self._vectors = vectors
        self._workers = workers
        self._switches = switches
        self._encoders = encoders
        self._setting = setting
        self._filler = Filler(name, switches, images, indexer, encoders)
        self._compiler = compiler
        self._follower = follower
        self._stopping = threading.Event()
        self._more_to_prepare = threading.Event()
        self._more_to_embed = threading.Event()
        self._more_to_follow = threading.Event()
        self._complaint: str | None = None
        self._away: dict[ImageState, str] = {}
        """What each loop could not read or write just now."""
        self._done: deque[tuple[float, int]] = deque()
        self._seen_alive: set[str] = set()

    def wake(self) -> None:
        """There is new work."""
        self._more_to_prepare.set()
        self._more_to_embed.set()
        self._more_to_follow.set()

    def stop(self) -> None:
        """End after the batches under way."""
        self._stopping.set()
        self.wake()

    def run(self) -> None:
        """Work until `stop`."""
        with _logged("claims of dead workers are left to their leases"):
            self._release_dead(start=True)
        loops = [
            threading.Thread(target=self._loop, args=(self._prepare, self._more_to_prepare, ImageState.PENDING)),
            threading.Thread(
                target=self._loop, args=(self._embed, self._more_to_embed, ImageState.PREPARED, ImageState.INDEXED)
            ),
        ]
        if self._follower:
            loops.append(threading.Thread(target=self._follow, args=(self._follower,)))
        for loop in loops:
            loop.start()
        self._report_until_stopped()
        if self._compiler:
            self._compiler.stop()
        for loop in loops:
            loop.join()
        with _logged("own claims are left to the next worker"):
            self._images.release(self._name)
            self._workers.leave(self._name)

    def _loop(self, work: Callable[[], bool], more: threading.Event, *states: ImageState) -> None:
        """Work on pictures in these ``states``, whatever happens to single batches."""
        failed = False
        while not self._stopping.is_set():
            more.clear()
            try:
                if failed:  # not at once: the catalog itself may be what failed
                    for state in states:
                        self._images.release(self._name, state)
                    failed = False
                if not work():
                    more.wait(POLL_SECONDS)
                self._away.pop(states[0], None)
            except StorageUnavailable as error:  # said where people look, and not in a hundred lines of the log
                self._away[states[0]] = str(error)
                failed = True
                self._stopping.wait(RETRY_SECONDS)
            except Exception:
                log.exception("work failed, tried again in %g seconds", RETRY_SECONDS)
                failed = True
                self._stopping.wait(RETRY_SECONDS)

    def _follow(self, follower: Follower) -> None:
        """Carry what is embedded, or gone, to the vector engine."""
        while not self._stopping.is_set():
            self._more_to_follow.clear()
            try:
                follower.follow(self._stopping.is_set)
            except Exception:
                log.exception("vector engine is not filled, tried again in a moment")
            self._more_to_follow.wait(POLL_SECONDS)

    def _prepare(self) -> bool:
        worked = self._indexer.prepare_next_batch()
        if worked:
            self._more_to_embed.set()
        return worked or self._indexer.read_next_captions()

    def _embed(self) -> bool:
        """New pictures first: they are not searchable yet. Then what the model that is wanted still lacks."""
        worked = self._embed_new() or self._filler.fill_next_batch()
        if worked:
            self._done.append((time.monotonic(), worked))
            self._more_to_follow.set()
        return worked > 0

    def _embed_new(self) -> int:
        told, serving = self._switches.read(), self._vectors.serving()
        setting = told.setting or self._setting  # the server's outweighs that of a worker elsewhere
        next_one = told.wanted or told.chosen or setting
        source = (serving.source or setting) if serving else next_one
        self._encoders.let_go({source, next_one})
        model = self._encoders.of(source)
        if not model.wait(POLL_SECONDS):
            return 0
        try:
            encoder = model.get()
        except ModelUnavailable as error:
            self._complaint = str(error)
            self._encoders.retry(source)
            return 0
        if serving is None:
            self._vectors.serve(encoder.space, self._encoders.source(source))
        elif serving.space != encoder.space:
            self._complaint = (
                f"This worker has other files of {encoder.space.model} than what serves: it can't embed pictures. "
                "Start it with the same GLIMPSE_MODEL and the same files of that model."
            )
            return 0
        self._complaint = None
        return self._indexer.embed_next_batch(encoder)

    def _report_until_stopped(self) -> None:
        said, said_at, looked_at = None, 0.0, time.monotonic()
        while not self._stopping.is_set():
            self._improve()
            now = time.monotonic()
            if now - looked_at > DEAD_SECONDS:
                with _logged("claims of dead workers are left to their leases"):
                    self._release_dead()
                looked_at = now
            saying = (round(self._rate(), 1), self._trouble() or self._complaint or self._filler.complaint)
            if saying != said or now - said_at > REPORT_IDLE_SECONDS:
                with suppress(Exception):  # a locked catalog must not end the worker
                    self._workers.report(self._name, *saying)
                    said, said_at = saying, now
            self._stopping.wait(REPORT_BUSY_SECONDS)

    def _trouble(self) -> str | None:
        following = self._follower.message if self._follower else None
        return next(iter(self._away.copy().values()), following)

    def _improve(self) -> None:
        """Have models compiled for this machine, meanwhile run them as they are, and then as they were compiled."""
        try:
            for source, model in self._encoders.held():
                if not model.improve() and self._compiler and model.status.state is ModelState.READY:
                    self._compiler.start(source)
        except Exception:
            log.exception("model is not compiled")

    def _rate(self) -> float:
        """Pictures per second, lately."""
        now = time.monotonic()
        while self._done and self._done[0][0] < now - RATE_SECONDS:
            self._done.popleft()
        done = list(self._done)
        if len(done) < 2:
            return 0.0
        # The first batch only marks the beginning: when it started is not known.
        return sum(n for _, n in done[1:]) / max(now - done[0][0], 0.1)

    def _release_dead(self, start: bool = False) -> None:
        """Take back what workers of this machine had claimed when they died; without this it waits for the lease.

        At the ``start`` also what was claimed under this worker's own name. Later only of those that were seen alive:
        a container with this machine's name has processes that can't be seen from here, and goes on working.
        """
        host = socket.gethostname()
        followers = self._follower.followers() if self._follower else []
        for name in {*self._images.claimers(), *self._workers.names(), *followers}:
            where, _, pid = name.rpartition(":")
            here = where == host and pid.isdigit()
            alive = here and _is_alive(int(pid))
            if alive:
                self._seen_alive.add(name)
            died = here and not alive and (start or name in self._seen_alive)
            if died or (start and name == self._name):
                released = self._images.release(name, died=True)
                self._workers.leave(name)
                if self._follower:
                    self._follower.give_way(name)
                log.info("dead worker cleared away worker=%s claims=%d", name, released)


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """A full disk or a locked catalog does not end the block's caller."""
    try:
        yield
    except Exception:
        log.exception(what)


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # signal 0 is no question there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Whether it is a zombie: ended, while nobody has asked for its exit code yet. Signals still reach those.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:  # gone just now, or no Linux
        return False
    return state in (b"Z", b"X")


class WorkerProcess:
    """Keeps one worker process running beside the server.

    A line on its standard input wakes it; the end of that input tells it to stop, also when the server was killed.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._input = threading.Lock()  # a wake must not write to what is being closed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="supervise-worker", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is new work."""
        process = self._process
        if process is not None and process.stdin is not None:
            with self._input, suppress(OSError, ValueError):  # it just died, or is full of wakes: it will look
                process.stdin.write(b"\n")

    def stop(self) -> None:
        """End the process, by force if it takes too long."""
        self._stopping.set()
        process = self._process
        if process is not None:
            self._close_input(process)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _close_input(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            with self._input, suppress(OSError):
                process.stdin.close()

    def _keep_alive(self) -> None:
        rest = 1.0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_process()
            if self._stopping.is_set():
                return
            rest = 1.0 if time.monotonic() - began > 60 else min(rest * 2, 30.0)
            log.error("worker ended, started again in %g seconds code=%s", rest, code)
            self._stopping.wait(rest)

    def _run_process(self) -> int | None:
        """Start a process and wait for its end. Returns its code, ``None`` if it could not be started."""
        try:
            process = self._start_process()
        except OSError as error:  # no memory for another process, say
            log.error("worker could not be started reason=%s", error)
            return None
        if self._stopping.is_set():  # `stop` came before there was a process to stop
            process.kill()
        code = process.wait()
        self._close_input(process)
        return code

    def _start_process(self) -> subprocess.Popen[bytes]:
        # A process group of its own: Ctrl-C reaches the server alone, which then stops this process in good order.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and entry
            self._command, env=self._environment, stdin=subprocess.PIPE, bufsize=0, process_group=0
        )
        self._process = process
        if process.stdin is not None and hasattr(os, "set_blocking"):  # on Windows from Python 3.12 on
            os.set_blocking(process.stdin.fileno(), False)  # a worker that hangs must not hang uploads
        return process
