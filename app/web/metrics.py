"""Figures for Prometheus, in its text format: https://prometheus.io/docs/instrumenting/exposition_formats/.

What the library holds is read when it is asked for; how long requests and steps take is counted as they happen, in this
process.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.library.library import Library
from app.library.timing import Step
from app.models import ImageState, ModelState
from app.web.access import METRICS

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper ends of the histograms' buckets."""


class Metrics:
    """One for each application. ``watch`` is a `app.library.timing.Stopwatch`."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a figure more for each, which nobody asks for
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._steps = {
            Step.SEARCH: self._histogram("glimpse_search_seconds", "From a query to its matches."),
            Step.TEXT_ENCODING: self._histogram("glimpse_text_encoding_seconds", "From a text to its vector."),
            Step.INTAKE: self._histogram("glimpse_intake_seconds", "From a whole file to a picture that is kept."),
        }
        self._requests = Histogram(
            "glimpse_request_seconds",
            "From a request to the end of its answer.",
            ("method", "route", "status"),
            buckets=SECONDS,
            registry=self._registry,
        )

    def _histogram(self, name: str, help: str) -> Histogram:
        return Histogram(name, help, buckets=SECONDS, registry=self._registry)

    def watch(self, step: Step) -> AbstractContextManager[object]:
        return self._steps[step].time()

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Measures what passes through it."""
        return _MeasuredRequests(app, self._requests)

    def router(self, library: Library, folder: Path) -> APIRouter:
        """``folder``: the volume whose room is told."""
        self._registry.register(_LibraryCollector(library, folder))
        router = APIRouter(include_in_schema=False)
        router.get(METRICS)(self.show)
        return router

    def show(self) -> Response:
        return Response(generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _MeasuredRequests:
    """Counts each request and its time by route, so that addresses of pictures don't make a figure each."""

    def __init__(self, app: ASGIApp, histogram: Histogram) -> None:
        self._app = app
        self._histogram = histogram

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), "500"

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            labels = (_method(scope), _route(scope), status)
            self._histogram.labels(*labels).observe(time.perf_counter() - began)


class _LibraryCollector(Collector):
    """Looks into the catalog each time it is asked: a handful of look-ups whose cost does not grow with the library."""

    def __init__(self, library: Library, folder: Path) -> None:
        self._library = library
        self._folder = folder

    def describe(self) -> Iterable[Metric]:
        return ()  # not to be asked for when it is registered: the catalog may not be there yet

    def collect(self) -> Iterable[Metric]:
        library, status = self._library, self._library.status.read()
        counts, worker, model = status.counts, status.worker, status.model
        pictures = GaugeMetricFamily("glimpse_pictures", "Pictures by state.", labels=["state"])
        for state in ImageState:
            pictures.add_metric([state.value], getattr(counts, state.value))
        yield pictures
        yield _gauge("glimpse_queue_pictures", "Pictures that wait to be prepared or embedded.", counts.to_do)
        yield _gauge("glimpse_trash_pictures", "Pictures in the trash.", library.trash.count())
        yield _gauge("glimpse_originals_bytes", "Size of all originals.", library.images.total_bytes())
        yield _gauge("glimpse_disk_free_bytes", "Room on the library's disk.", shutil.disk_usage(self._folder).free)
        yield _gauge("glimpse_worker_up", "Whether a worker runs.", worker.alive)
        yield _gauge("glimpse_worker_pictures_per_second", "Pictures indexed lately, all workers.", worker.rate)
        yield _gauge("glimpse_ready", "Whether a query can be answered.", library.searcher.ready())
        space = GaugeMetricFamily(
            "glimpse_embedding_space", "1 for the space that serves.", labels=["model", "fingerprint", "dimension"]
        )
        if model.space is not None and model.state is ModelState.READY:
            space.add_metric([model.space.model, model.space.fingerprint[:12], str(model.space.dimension)], 1)
        yield space
        now = time.time()
        seen = GaugeMetricFamily("glimpse_watched_up", "Whether a folder is watched and there.", labels=["folder"])
        for folder in library.watched.all():
            seen.add_metric([folder.folder], folder.is_watched(now) and folder.message is None)
        yield seen


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help, value=value)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS") else "other"


def _route(scope: Scope) -> str:
    """``/images/{image_id}``; what has no route of its own is ``static`` or ``none``."""
    route = scope.get("route")
    if route is not None:
        return str(route.path)
    return "static" if "app_root_path" in scope and scope.get("endpoint") is not None else "none"
