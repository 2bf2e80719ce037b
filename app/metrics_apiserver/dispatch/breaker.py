"""Whether a provider is asked at all: not for a while for a metric that has failed several times in a row.

One metric's trouble is not that of the others, nor one tenant's that of another: each metric of a namespace has a
circuit of its own. That of the whole provider opens at once for an error that is its backend's
(BackendUnavailableError), and where three different metrics have failed and nothing has worked in between; then it
goes on being asked for metrics of those namespaces in which none has failed. Whatever works shows that the provider
is there, and closes it.

Our own: what comes of a call is known on another thread, long after it was let through, and by the test's clock.
"""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

from metrics_apiserver.dispatch.circuit import Circuit
from metrics_apiserver.dispatch.subject import Subject
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.settings import BreakerSettings

__all__ = ["Breaker", "Failure", "Permit"]

# So many different metrics fail where the provider itself is in trouble.
_METRICS = 3
# Clients choose what they read: circuits are kept of so many metrics, those that failed last.
_REMEMBERED = 1024


class Permit(NamedTuple):
    """A call that may be made; what comes of it is to be accounted for, or the permit is given back."""

    subject: Subject
    # Those that its outcome decides: it is the one call that shows whether they are well again.
    trials: tuple[Circuit, ...] = ()


class Failure(NamedTuple):
    """A failure of the provider's own; `backend` where nothing else that it has can be read either."""

    sentence: str
    backend: bool = False


class Breaker:
    """The circuits of one provider."""

    def __init__(self, provider: str, settings: BreakerSettings, *, clock: Clock, logger: logging.Logger) -> None:
        self._provider = provider
        self._settings = settings
        self._clock = clock
        self._logger = logger
        self._lock = threading.Lock()
        self._whole = Circuit(clock)
        # Those that have failed since they worked last.
        self._metrics: dict[Subject, Circuit] = {}
        # What has failed since anything has worked, and where; None: everywhere, since it was the backend's own.
        self._failed: set[tuple[str, str]] = set()
        self._places: set[str] | None = set()

    @property
    def state(self) -> str:
        """`closed`, `half-open` or `open`: that of the whole provider."""
        return self._whole.state

    @property
    def refused_metrics(self) -> int:
        """How many metrics, of a namespace each, are not asked for at the moment."""
        with self._lock:
            return sum(not circuit.closed for circuit in self._metrics.values())

    def admit(self, subject: Subject) -> Permit | str:
        """Return the permit to make a call, or why none may be made: since when, and what was said last."""
        with self._lock:
            circuit, whole = self._metrics.get(subject), self._whole
            trials = []
            if not whole.closed and (self._places is None or subject.namespace in self._places):
                if whole.refuses(self._settings.reset):
                    return f"provider {self._provider} is down{whole.since}: {whole.last_word}"
                trials.append(whole)
            if circuit is not None and not circuit.closed:
                if circuit.refuses(self._settings.reset):
                    return (
                        f"provider {self._provider} is not asked for {subject}, which fails{circuit.since}:"
                        f" {circuit.last_word}"
                    )
                trials.append(circuit)
            for each in trials:
                each.begin_trial()
            return Permit(subject, tuple(trials))

    def give_back(self, permit: Permit) -> None:
        """Take back a permit of which nothing came: the next call is the trial."""
        with self._lock:
            for circuit in permit.trials:
                circuit.trial = False

    def account(self, permit: Permit, failure: Failure | None) -> None:
        """Take note of a call that ended; None for a provider that works."""
        with self._lock:
            for circuit in permit.trials:
                circuit.trial = False
            if failure is None:
                self._succeed(permit.subject)
            else:
                self._fail(permit, failure)

    def _succeed(self, subject: Subject) -> None:
        circuit = self._metrics.pop(subject, None)
        if circuit is not None and circuit.close():
            self._logger.info("provider %s answers for %s again", self._provider, subject)
        self._failed.clear()
        self._places = set()
        if self._whole.close():
            self._logger.info("provider %s is back", self._provider)

    def _fail(self, permit: Permit, failure: Failure) -> None:
        subject, sentence = permit.subject, _named(permit.subject, failure.sentence)
        self._fail_metric(permit, sentence)
        whole = self._whole
        if not whole.closed and whole not in permit.trials:
            # It began before the provider was known to be down, and says nothing new; or its namespace was well.
            self._note_place(subject)
            return
        if len(self._failed) < _METRICS:
            self._failed.add((subject.resource, subject.metric))
        self._note_place(subject)
        if failure.backend:
            self._places = None
        whole.fail(sentence)
        many = len(self._failed) >= _METRICS and whole.failures >= self._settings.failures
        if (failure.backend or many or not whole.closed) and whole.open():
            self._logger.warning("provider %s is down, and not asked for a while: %s", self._provider, whole.last_word)

    def _note_place(self, subject: Subject) -> None:
        if self._places is not None:
            self._places.add(subject.namespace)
            if len(self._places) > _REMEMBERED:
                self._places = None

    def _fail_metric(self, permit: Permit, sentence: str) -> None:
        subject = permit.subject
        # The one that failed last is the last: what is forgotten has not failed for longest.
        circuit = self._metrics.pop(subject, None) or Circuit(self._clock)
        self._metrics[subject] = circuit
        if len(self._metrics) > _REMEMBERED:
            del self._metrics[next(iter(self._metrics))]
        if not circuit.closed and circuit not in permit.trials:
            return
        circuit.fail(sentence)
        if (not circuit.closed or circuit.failures >= self._settings.failures) and circuit.open():
            self._logger.warning(
                "provider %s is not asked for %s for a while: %s", self._provider, subject, circuit.last_word
            )


def _named(subject: Subject, sentence: str) -> str:
    """Return a sentence that names the metric: what a provider says itself need not."""
    return sentence if subject.metric in sentence else f"{subject}: {sentence}"
