"""What Prometheus reads of the server."""

from __future__ import annotations

import prometheus_client as prometheus

from tools.serve.dispatcher import Dispatcher

__all__ = ["Metrics"]


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.registry = prometheus.CollectorRegistry()
        registry = self.registry
        self.requests = prometheus.Counter(
            "seg_mask_requests", "Requests to /seg_mask by status", ["bundle", "code"], registry=registry
        )
        self.seconds = prometheus.Histogram(
            "seg_mask_seconds", "From the end of an upload to the answer", ["bundle"], registry=registry
        )
        waiting = prometheus.Gauge("seg_mask_waiting", "Images that wait", registry=registry)
        waiting.set_function(lambda: dispatcher.num_waiting)
        busy = prometheus.Gauge("seg_mask_running", "Images that are being segmented", registry=registry)
        busy.set_function(lambda: float(dispatcher.is_busy))
        replaced = prometheus.Gauge("seg_mask_workers_replaced", "Processes that were replaced", registry=registry)
        replaced.set_function(lambda: dispatcher.num_replaced)

    def text(self) -> bytes:
        """All counters, as Prometheus reads them."""
        return prometheus.generate_latest(self.registry)
