"""Figures for Prometheus, one registry for the telephony process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """All figures; names as Prometheus wants them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        self.tasks = Gauge("hotline_tasks", "Tasks of the event loop", registry=registry)
        self.calls = Gauge(
            "hotline_calls_now", "Callers served by this process now", registry=registry
        )
        self.calls_total = Counter(
            "hotline_calls", "Callers taken by this process", registry=registry
        )
        self.refused = Counter(
            "hotline_calls_refused",
            "Callers left to the fallback queue: too many calls",
            registry=registry,
        )
        self.waiting = Gauge(
            "hotline_waiting", "Callers waiting for a consultant", registry=registry
        )
        self.events = Counter("hotline_case_events", "Steps of cases", ["kind"], registry=registry)
        self.emergencies = Counter(
            "hotline_emergencies", "Callers handed over to 112", registry=registry
        )
        self.degraded = Counter(
            "hotline_degraded", "Callers handed over to Asterisk's own queue", registry=registry
        )
        self.abandoned = Counter(
            "hotline_abandoned", "Callers who hung up", ["where"], registry=registry
        )
        self.callbacks = Counter(
            "hotline_callbacks", "Callbacks, by what happened to them", ["what"], registry=registry
        )
        self.offers = Counter("hotline_offers", "Telephones rung", registry=registry)
        self.answered = Counter(
            "hotline_answered", "Answered callers, by queue and whether in the time of its target",
            ["queue", "in_time"], registry=registry,
        )  # fmt: skip
        self.wait = Histogram(
            "hotline_wait_seconds", "Wait of answered callers", buckets=_SECONDS, registry=registry
        )
        self.talk = Histogram(
            "hotline_talk_seconds", "Talk of answered callers", buckets=_SECONDS, registry=registry
        )
        self.up = Gauge(
            "hotline_part_up", "Whether a part works (1) or not (0)", ["part"], registry=registry
        )
        self.reload_refused = Gauge(
            "hotline_reload_refused",
            "Whether an edit of consultants or routing is refused (1) or none is (0)",
            registry=registry,
        )
        self.problems = Counter("hotline_problems", "Alarms, by part", ["part"], registry=registry)
        self.loop_lag = Histogram(
            "hotline_loop_lag_seconds", "Lateness of the event loop",
            buckets=(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1), registry=registry,
        )  # fmt: skip


METRICS = Metrics()
