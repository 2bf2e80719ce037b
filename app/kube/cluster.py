"""A real cluster: its REST mapping, kept up to date by one thread, and its objects."""

from __future__ import annotations

import logging
import threading

from kubernetes.client import ApiClient

from app.kube.client import ClusterClient, ClusterError
from app.kube.discovery import read_resources
from app.kube.objects import ClusterObjects
from app.kube.restmapper import ClusterMapper

__all__ = ["Cluster"]

_STOP_SECONDS = 5.0


class Cluster:
    """Reads the resources of a cluster again every `interval` seconds, at first every `retry` until it works."""

    def __init__(self, api: ApiClient, *, logger: logging.Logger, interval: float = 600.0, retry: float = 3.0) -> None:
        self.mapper = ClusterMapper()
        self._client = ClusterClient(api)
        self.objects = ClusterObjects(self._client)
        self._logger = logger
        self._interval = interval
        self._retry = retry
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cluster-discovery", daemon=True)
        self._last_problem = ""

    def start(self) -> None:
        """Start reading, in the background; once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading and close the connections; a request under way is not waited for longer than a few seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        self._client.close()

    def check(self) -> str | None:
        """Say why the cluster cannot be used yet; None when it can."""
        return self.mapper.problem

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._read()
            self._stopping.wait(self._interval if self.mapper.problem is None else self._retry)

    def _read(self) -> None:
        try:
            table = read_resources(self._client, logger=self._logger)
        except ClusterError as error:
            self._report(str(error))
            return
        except Exception:
            # The thread must outlive a mistake of ours: nobody would start it again.
            self._logger.exception("discovery failed")
            self.mapper.failed("an internal error, which the log has")
            return
        self.mapper.replace(table)
        self._last_problem = ""
        self._logger.info("discovery: the cluster has %d resources", len(table.mappings))

    def _report(self, problem: str) -> None:
        """Log a problem once, not at every try."""
        self.mapper.failed(problem)
        if problem != self._last_problem:
            self._logger.warning("discovery: %s", problem)
        self._last_problem = problem
