"""The serving certificate in use: followed on disk, swapped when a new one is good, and its end announced."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from metrics_apiserver.files import FileFollower
from metrics_apiserver.model.clock import Clock, SystemClock
from metrics_apiserver.serving.pairs import CertificateError, Contents, Pair, check_contents, read_contents
from metrics_apiserver.serving.tls import TLSContext, TLSError, build_context
from metrics_apiserver.settings import ServingSettings
from metrics_apiserver.staleness import Followed

__all__ = ["ServingCertificate"]

# How long a change may have company before it is looked at: a pair is two files.
_STEP_MILLISECONDS = 200
_WARN_FROM = timedelta(hours=24)
_WARN_EVERY_SECONDS = 3600.0
# How long a context, and with it the keys of its session tickets, is in use: as long as a key in Go's crypto/tls. Who
# comes back later makes a full handshake.
_CONTEXT_SECONDS = 86_400.0

logger = logging.getLogger("metrics_apiserver")


class ServingCertificate:
    """Gives the TLS context for new connections; `start` keeps it in step with the files, the authorities and the day.

    A context is replaced as a whole and never changed: open connections live on with the one that they began with.
    """

    def __init__(
        self,
        serving: ServingSettings,
        pair: Pair,
        *,
        authorities: Callable[[], Sequence[bytes] | None] = lambda: None,
        observe: Callable[[datetime], object] = lambda _not_after: None,
        clock: Clock | None = None,
        interval: float = 1.0,
        followed: Followed | None = None,
    ) -> None:
        self._serving = serving
        self._pair = pair
        self._authorities = authorities
        self._observe = observe
        self._clock = clock or SystemClock()
        self._named = authorities()
        self.context = TLSContext(build_context(pair, serving, self._named))
        self._made = self._clock.monotonic()
        # What was said last, so that it is said once: of a pair that was refused, and of the end.
        self._refused: tuple[Contents, str] | None = None
        self._warned: tuple[str, float] | None = None
        contents = pair.contents
        self._follower = FileFollower(
            [contents.cert_file, contents.key_file],
            self.check,
            logger,
            name="serving-certificate",
            interval=interval,
            step=_STEP_MILLISECONDS,
            followed=followed,
        )
        logger.info("the serving certificate: %s", pair)
        observe(pair.not_after)

    def start(self) -> None:
        """Look at once, as the pair may be older than the files, and then follow them on a thread."""
        self.check()
        self._follower.start()

    def stop(self) -> None:
        """Tell the thread to end; `join` waits for it."""
        self._follower.stop(0)

    def join(self, seconds: float) -> None:
        """Wait for the thread's end."""
        self._follower.stop(seconds)

    def check(self) -> str | None:
        """Look once: take what is new and good, and say what is not good, or not for long.

        Give why what the files hold is not in use.
        """
        contents = read_contents(self._pair.contents.cert_file, self._pair.contents.key_file)
        if contents == self._pair.contents:
            self._refused = None
        else:
            self._renew(contents)
        authorities = self._authorities()
        if authorities != self._named:
            self._swap(self._pair, authorities)
            logger.info("clients are asked for certificates of %d authorities", len(authorities or ()))
        if self._clock.monotonic() - self._made >= _CONTEXT_SECONDS:
            self._swap(self._pair, self._named)
            logger.debug("the keys of session tickets were renewed")
        self._warn_of_the_end()
        return None if self._refused is None else self._refused[1]

    def _renew(self, contents: Contents) -> None:
        try:
            pair = check_contents(contents, now=self._clock.now())
            self._swap(pair, self._named)
        except (CertificateError, TLSError) as error:
            # Looked at again each time: what is not valid yet will be.
            if self._refused != (contents, str(error)):
                self._refused = contents, str(error)
                logger.warning("the new serving certificate is refused, and the old one stays in use: %s", error)
            return
        self._refused = self._warned = None
        logger.info("the serving certificate was renewed: %s", pair)
        self._observe(pair.not_after)

    def _swap(self, pair: Pair, authorities: Sequence[bytes] | None) -> None:
        self.context = TLSContext(build_context(pair, self._serving, authorities))
        self._pair, self._named, self._made = pair, authorities, self._clock.monotonic()

    def _warn_of_the_end(self) -> None:
        left = self._pair.not_after - self._clock.now()
        if left > _WARN_FROM:
            return
        word = "expires soon" if left > timedelta(0) else "has expired"
        now = self._clock.monotonic()
        if self._warned is None or self._warned[0] != word or now - self._warned[1] >= _WARN_EVERY_SECONDS:
            self._warned = word, now
            logger.warning("the serving certificate %s: %s", word, self._pair)
