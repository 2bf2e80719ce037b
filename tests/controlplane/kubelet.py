"""The stand-in for the kubelet: it makes pods Running and Ready without running anything."""

import datetime
import http
import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3
from kubernetes import client, config, watch

__all__ = ["Kubelet"]

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
# The apiserver ends a watch after this time, and we begin another.
WATCH_SECONDS = 300
# Connect, and the longest silence: beyond the end of a watch something is broken.
WATCH_TIMEOUT = (5, WATCH_SECONDS + 30)
REQUEST_TIMEOUT = (5, 30)
# For its first minutes the HPA does not take a pod's CPU samples: let it be old.
AGE = datetime.timedelta(hours=1)
PATCH = "application/strategic-merge-patch+json"
# Somebody was faster: the pod changed or is gone, and the watch will tell.
OVERTAKEN = (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT)
FINISHED = ("Succeeded", "Failed")


class Kubelet:
    """A thread that watches all pods: a new one becomes Running and Ready, a terminating one is deleted at once.

    It goes on through lost watches and a restart of the apiserver.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._stopping = threading.Event()
        self._watch = watch.Watch()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)

    def start(self) -> None:
        """Begin, once: a stopped Kubelet does not start again."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and its connections, and wait for that."""
        self._stopping.set()
        # Again and again: a watch that is only just beginning does not notice the first.
        while self._thread.is_alive():
            self._watch.stop()
            self._thread.join(0.1)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        api_client = config.new_client_from_config(config_file=str(self._kubeconfig))
        api = client.CoreV1Api(api_client)
        try:
            while not self._stopping.is_set():
                try:
                    self._follow(api)
                except (client.ApiException, urllib3.exceptions.HTTPError, OSError) as e:
                    # A stop breaks the connection under the watch; that needs no word.
                    if not self._stopping.is_set():
                        logger.warning("The pods cannot be watched, trying again: %s", e)
                    self._stopping.wait(RETRY_SECONDS)
        finally:
            # Closing the client alone leaves the idle connections to the garbage collector.
            api_client.rest_client.pool_manager.clear()
            api_client.close()

    def _follow(self, api: client.CoreV1Api) -> None:
        """List the pods, then watch them until the watch ends."""
        pods = api.list_pod_for_all_namespaces(_request_timeout=REQUEST_TIMEOUT)
        for pod in pods.items:
            self._settle(api, pod)
        events = self._watch.stream(
            api.list_pod_for_all_namespaces,
            resource_version=pods.metadata.resource_version,
            timeout_seconds=WATCH_SECONDS,
            _request_timeout=WATCH_TIMEOUT,
        )
        for event in events:
            if self._stopping.is_set():
                return
            # None stands for a line that is not JSON, such as an empty one.
            if event is not None and event["type"] in ("ADDED", "MODIFIED"):
                self._settle(api, event["object"])

    def _settle(self, api: client.CoreV1Api, pod: client.V1Pod) -> None:
        """Bring one pod to where it should be; nothing is asked of the apiserver if it is there already."""
        name, namespace = pod.metadata.name, pod.metadata.namespace
        try:
            if pod.metadata.deletion_timestamp is not None:
                api.delete_namespaced_pod(name, namespace, grace_period_seconds=0, _request_timeout=REQUEST_TIMEOUT)
            elif pod.status.phase not in FINISHED and not _is_ready(pod):
                api.patch_namespaced_pod_status(
                    name, namespace, _running(pod), _content_type=PATCH, _request_timeout=REQUEST_TIMEOUT
                )
        except client.ApiException as e:
            if e.status not in OVERTAKEN:
                raise
            logger.debug("Pod %s/%s has changed meanwhile: %s", namespace, name, e.reason)


def _is_ready(pod: client.V1Pod) -> bool:
    conditions = pod.status.conditions or []
    ready = any(condition.type == "Ready" and condition.status == "True" for condition in conditions)
    return ready and pod.status.phase == "Running"


def _running(pod: client.V1Pod) -> dict[str, Any]:
    """Make the patch of a status that says: everything has been running for an hour."""
    since = (datetime.datetime.now(datetime.UTC) - AGE).strftime("%Y-%m-%dT%H:%M:%SZ")
    types = ("Initialized", "PodScheduled", "ContainersReady", "Ready")
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": since} for kind in types]
    containers = [
        {
            "name": container.name,
            "image": container.image or "",
            "imageID": "",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": since}},
        }
        for container in pod.spec.containers
    ]
    return {
        "status": {
            "phase": "Running",
            "startTime": since,
            "conditions": conditions,
            "containerStatuses": containers,
        }
    }
