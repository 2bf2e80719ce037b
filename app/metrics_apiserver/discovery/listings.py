"""Asks each provider for its listing on a thread of its own, and swaps in the documents made of all of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import NamedTuple

from metrics_apiserver.apis.api import API, Info
from metrics_apiserver.apis.table import APIS
from metrics_apiserver.concurrency import Background
from metrics_apiserver.discovery.documents import Documents
from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.provider import Provider, RESTMapper
from metrics_apiserver.schemas.table import versions_of
from metrics_apiserver.telemetry import Telemetry

__all__ = ["Discovery", "Listed"]

LISTING_INTERVAL_SECONDS = 5.0
# The first listing is usually there before the first request; a slow provider is not waited for longer than this.
FIRST_LISTING_SECONDS = 1.0
REFRESH_SPACING_SECONDS = 0.1
# A listing comes from memory: one that takes longer hangs.
HANGING_SECONDS = 10.0
# What is read of one provider's listing at most: a generator without an end must not fill the memory.
MAX_READ = 200_000


def _everything(_api: str, _info: Info) -> bool:
    return True


def _nothing(_infos: Iterable[Info]) -> None:
    pass


class Listed(NamedTuple):
    """A provider whose metrics are listed.

    `lists` says whether one, of an API by its name, is asked of it at all; `learn` is told what it listed.
    """

    name: str
    provider: Provider
    lists: Callable[[str, Info], bool] = _everything
    learn: Callable[[Iterable[Info]], None] = _nothing


@dataclass(slots=True, eq=False)
class _Listing:
    """The last listing of one provider, and the thread that renews it."""

    name: str
    provider: Provider
    lists: Callable[[str, Info], bool]
    learn: Callable[[Iterable[Info]], None]
    # By API group.
    metrics: Mapping[str, Sequence[Info]] = field(default_factory=dict)
    # When the call that is under way began, in monotonic seconds.
    asked: float | None = None
    first: threading.Event = field(default_factory=threading.Event)
    background: Background = field(init=False)


class Discovery:
    """Keeps the discovery documents of what the providers list.

    A provider whose listing hangs or raises keeps its last list and delays nobody: each has a thread of its own.
    """

    def __init__(
        self,
        providers: Iterable[Listed],
        *,
        mapper: RESTMapper,
        limit: int,
        telemetry: Telemetry,
        logger: logging.Logger,
        interval: float = LISTING_INTERVAL_SECONDS,
    ) -> None:
        self._listings: list[_Listing] = []
        self._mapper = mapper
        self._limit = limit
        self._telemetry = telemetry
        self._logger = logger
        self._interval = interval
        self._lock = threading.Lock()
        self._cut: dict[str, int] = {}
        self._documents = Documents.of({})
        # Those of providers that were replaced, until their call has come back.
        self._left: list[_Listing] = []
        self._listings = [self._listing(each) for each in providers]
        telemetry.hanging.watch(self._hanging)

    @property
    def documents(self) -> Documents:
        """The documents as of now; never empty lists."""
        return self._documents

    def start(self) -> None:
        """Start the listing, and give it a moment so that the first reader sees more than placeholders."""
        for listing in self._listings:
            # One that took the place of another before this is listed already.
            if not listing.background.alive:
                listing.background.start()
        for listing in self._listings:
            listing.first.wait(FIRST_LISTING_SECONDS)

    def replace(self, providers: Iterable[Listed]) -> None:
        """List these from now on, in this order; what is not known of a new one yet is what its name had listed."""
        with self._lock:
            before = self._listings
            known = {listing.name: listing for listing in before}
            self._listings = [self._following(each, known.get(each.name)) for each in providers]
            kept = self._listings
            gone = [listing for listing in before if listing not in kept]
            self._left += [listing for listing in gone if listing.background.alive]
        for listing in gone:
            listing.background.stop()
        for listing in kept:
            if listing not in before:
                listing.background.start()
        self._rebuild()

    def stop(self) -> None:
        """Let the threads end; one that hangs in a provider is left behind."""
        for listing in self._listings:
            listing.background.stop()

    def left_behind(self) -> list[tuple[str, str]]:
        """Name each provider that was replaced while its listing was under way, and has not come back since."""
        return [(listing.name, "list") for listing in list(self._left) if listing.asked is not None]

    def _hanging(self) -> list[tuple[str, str]]:
        now = time.monotonic()
        in_use = [
            listing
            for listing in list(self._listings)
            if listing.asked is not None and now - listing.asked > HANGING_SECONDS
        ]
        return [*((listing.name, "list") for listing in in_use), *self.left_behind()]

    def paths(self, most: int) -> list[str]:
        """Return paths of reads of what is listed, `most` of each API: in the namespace `default`, of any object."""
        with self._lock:
            listings = list(self._listings)
        paths = []
        for api in APIS:
            version = versions_of(api.group)[0].group_version
            infos = api.merge(_asked(api, listing) for listing in listings)
            paths += [f"/apis/{version}/{api.example(info)}" for info in infos[:most]]
        return paths

    def refresh_soon(self) -> None:
        """Have the providers asked again at once, without waiting for them."""
        for listing in self._listings:
            listing.background.wake()

    def _listing(self, listed: Listed, metrics: Mapping[str, Sequence[Info]] | None = None) -> _Listing:
        """Make the listing of a provider; nothing is asked yet."""
        listing = _Listing(*listed, metrics or {})
        listing.background = Background(
            f"listing-{listed.name}",
            partial(self._turn, listing),
            logger=self._logger,
            failure=f"discovery: provider {listed.name} cannot list, its last list stays",
            mistaken=lambda _error: self._interval,
            # Writes may come by the thousand: they are followed soon, not one by one.
            spacing=REFRESH_SPACING_SECONDS,
            ended=partial(self._ended, listing),
        )
        return listing

    def _following(self, listed: Listed, before: _Listing | None) -> _Listing:
        """Return the listing of a provider that stays, or that of its successor, which begins with what was listed."""
        if before is not None and before.provider is listed.provider:
            before.lists, before.learn = listed.lists, listed.learn
            before.learn(chain.from_iterable(before.metrics.values()))
            return before
        metrics = before.metrics if before is not None else {}
        listed.learn(chain.from_iterable(metrics.values()))
        return self._listing(listed, metrics)

    def _turn(self, listing: _Listing) -> float:
        listing.asked = time.monotonic()
        try:
            self._refresh(listing)
        finally:
            listing.asked = None
            listing.first.set()
        return self._interval

    def _ended(self, listing: _Listing) -> None:
        with self._lock:
            self._left = [each for each in self._left if each is not listing]

    def _refresh(self, listing: _Listing) -> None:
        provider = listing.provider
        try:
            metrics = {
                api.group: api.list_metrics(provider, self._mapper, MAX_READ)
                for api in APIS
                if isinstance(provider, api.interface)
            }
        except ServiceUnavailableError as error:
            # The cluster's resources are not known yet, and so no name can be normalised: not the provider's fault.
            self._logger.info("discovery: the listing of provider %s waits: %s", listing.name, error)
            return
        if metrics != listing.metrics:
            listing.metrics = metrics
            listing.learn(chain.from_iterable(metrics.values()))
            counts = ", ".join(f"{len(infos)} of {group}" for group, infos in metrics.items())
            self._logger.debug("discovery: provider %s lists metrics: %s", listing.name, counts)
            self._rebuild()

    def _rebuild(self) -> None:
        with self._lock:
            merged = {api.group: api.merge(_asked(api, listing) for listing in self._listings) for api in APIS}
            self._documents = Documents.of({group: self._capped(group, infos) for group, infos in merged.items()})

    def _capped(self, group: str, infos: list[Info]) -> list[Info]:
        cut = max(0, len(infos) - self._limit)
        if cut != self._cut.get(group, 0):
            self._logger.warning(
                "discovery: %d of %d metrics of %s are not listed, which --discovery-limit=%d allows; all are served",
                cut,
                len(infos),
                group,
                self._limit,
            )
        self._cut[group] = cut
        self._telemetry.discovery_cut.labels(group=group).set(cut)
        return infos[: self._limit]


def _asked(api: API, listing: _Listing) -> Sequence[Info]:
    """Return what a provider lists of an API, as far as it is asked for it."""
    return [info for info in listing.metrics.get(api.group, ()) if listing.lists(api.name, info)]
