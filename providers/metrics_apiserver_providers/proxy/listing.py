"""What the other server lists, read again and again on one thread, and kept while it cannot be read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from logging import Logger

from metrics_apiserver.provider import (
    Background,
    Backoff,
    BadGatewayError,
    CustomMetricInfo,
    ExternalMetricInfo,
    StatusError,
)
from metrics_apiserver.provider.http import HTTPAnswer
from metrics_apiserver_providers.proxy.failures import refusal
from metrics_apiserver_providers.proxy.options import CUSTOM, EXTERNAL
from metrics_apiserver_providers.proxy.wire import (
    CUSTOM_GROUP,
    EXTERNAL_GROUP,
    WireError,
    read_custom_names,
    read_external_names,
)

__all__ = ["Listing"]

# The best first; the second is all that servers before custom-metrics-apiserver 1.19 have.
_CUSTOM_VERSIONS = ("v1beta2", "v1beta1")
_EXTERNAL_VERSIONS = ("v1beta1",)
_FIRST_PAUSE_SECONDS = 1.0
_START_SECONDS = 0.5
_STOP_SECONDS = 2.0


@dataclass(slots=True)
class _API:
    """One API of the other server as it was last read; `versions` are those to try, none for an API it lacks."""

    group: str
    known: tuple[str, ...]
    versions: tuple[str, ...] = ()
    problem: str = ""


class Listing:
    """The names of the other server's metrics, and which versions it has; `fetch` gives the answer of a path."""

    def __init__(
        self,
        fetch: Callable[[str], HTTPAnswer],
        *,
        address: str,
        apis: Collection[str],
        interval: float,
        logger: Logger,
        name: str,
    ) -> None:
        self._fetch = fetch
        self._address = address
        self._interval = interval
        self._logger = logger
        self._apis = {
            CUSTOM: _API(CUSTOM_GROUP, _CUSTOM_VERSIONS, _CUSTOM_VERSIONS),
            EXTERNAL: _API(EXTERNAL_GROUP, _EXTERNAL_VERSIONS, _EXTERNAL_VERSIONS),
        }
        for api in self._apis.keys() - set(apis):
            del self._apis[api]
        self._read_once = threading.Event()
        self._backoff = Backoff(2 * _FIRST_PAUSE_SECONDS, interval)
        self._failures = 0
        self._background = Background(f"proxy-listing-{name}", self._turn, logger=logger)
        self.custom: Sequence[CustomMetricInfo] = ()
        self.external: Sequence[ExternalMetricInfo] = ()

    def versions(self, api: str) -> Sequence[str]:
        """Return the versions to ask for: all that there may be before the first listing, none without the API."""
        return self._apis[api].versions if api in self._apis else ()

    def start(self) -> None:
        """Start reading, and give it a moment, so that discovery does not begin without these names."""
        self._background.start()
        self._read_once.wait(_START_SECONDS)

    def stop(self) -> None:
        """Stop reading; a request under way is not waited for longer than a moment."""
        self._background.stop(_STOP_SECONDS)

    def refresh(self) -> bool:
        """Read the lists once; False unless all could be read."""
        results = [self._refresh(api) for api in self._apis.values()]
        return all(results)

    def _turn(self) -> float:
        try:
            well = self.refresh()
        finally:
            self._read_once.set()
        self._failures = 0 if well else self._failures + 1
        return self._interval if well else self._backoff.seconds(self._failures)

    def _refresh(self, api: _API) -> bool:
        try:
            found = self._find(api)
            if found is not None:
                self._read(api, *found)
        except (StatusError, WireError) as error:
            cause = error.whole if isinstance(error, StatusError) else error
            self._note(api, f"the listing of {api.group} cannot be read, the last one stays: {cause}")
            return False
        except Exception:
            # Nothing that is listed may end the thread.
            self._logger.exception("the listing of %s cannot be read, the last one stays", api.group)
            return False
        if found is None:
            api.versions = ()
            self._note(api, f"{self._address} does not have {api.group}, and is not asked for it")
            return False
        self._note(api, "")
        return True

    def _find(self, api: _API) -> tuple[str, bytes] | None:
        """Return the best version that the server has, and its list."""
        for version in api.known:
            answer = self._fetch(f"/apis/{api.group}/{version}")
            if answer.status == HTTPStatus.OK:
                return version, answer.body
            if answer.status != HTTPStatus.NOT_FOUND:
                raise refusal(self._address, answer)
        return None

    def _read(self, api: _API, version: str, content: bytes) -> None:
        try:
            if api.group == CUSTOM_GROUP:
                self.custom = read_custom_names(content, version=version)
            else:
                self.external = read_external_names(content)
        except WireError as error:
            sentence = f"the other server answers what cannot be read: {error}"
            raise BadGatewayError(sentence, cause=self._address) from error
        api.versions = (version,)

    def _note(self, api: _API, problem: str) -> None:
        """Log a problem once, and its end."""
        if problem and problem != api.problem:
            self._logger.warning("%s", problem)
        elif api.problem and not problem:
            self._logger.info("the listing of %s can be read again", api.group)
        api.problem = problem
