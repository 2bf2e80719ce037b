"""The serving certificate in use: followed on disk, swapped when a new one is good, and its end announced."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from watchfiles import watch

from app.model.clock import Clock, SystemClock
from app.serving.pairs import CertificateError, Contents, Pair, check_contents, read_contents
from app.serving.tls import TLSContext, TLSError, build_context
from app.settings import ServingSettings

__all__ = ["ServingCertificate"]

# How long a change may have company before it is looked at: a pair is two files.
_STEP_MILLISECONDS = 200
_WARN_FROM = timedelta(hours=24)
_WARN_EVERY_SECONDS = 3600.0

logger = logging.getLogger("metrics_apiserver")


class ServingCertificate:
    """Gives the TLS context for new connections; `start` keeps it in step with the files and the authorities.

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
    ) -> None:
        self._serving = serving
        self._pair = pair
        self._authorities = authorities
        self._observe = observe
        self._clock = clock or SystemClock()
        # How often the files are read although nothing was heard of them, and the authorities are compared.
        self._interval = interval
        self._named = authorities()
        self.context = TLSContext(build_context(pair, serving, self._named))
        # What was said last, so that it is said once: of a pair that was refused, of the end, and of a failed look.
        self._refused: tuple[Contents, str] | None = None
        self._warned: tuple[str, float] | None = None
        self._failed = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="serving-certificate", daemon=True)
        logger.info("the serving certificate: %s", pair)
        observe(pair.not_after)

    def start(self) -> None:
        """Look at once, as the pair may be older than the files, and then follow them on a thread."""
        self.check()
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end; `join` waits for it."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def check(self) -> None:
        """Look once: take what is new and good, and say what is not good, or not for long."""
        contents = read_contents(self._pair.contents.cert_file, self._pair.contents.key_file)
        if contents == self._pair.contents:
            self._refused = None
        else:
            self._renew(contents)
        authorities = self._authorities()
        if authorities != self._named:
            self._swap(self._pair, authorities)
            logger.info("clients are asked for certificates of %d authorities", len(authorities or ()))
        self._warn_of_the_end()

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
        self._pair, self._named = pair, authorities

    def _warn_of_the_end(self) -> None:
        left = self._pair.not_after - self._clock.now()
        if left > _WARN_FROM:
            return
        word = "expires soon" if left > timedelta(0) else "has expired"
        now = self._clock.monotonic()
        if self._warned is None or self._warned[0] != word or now - self._warned[1] >= _WARN_EVERY_SECONDS:
            self._warned = word, now
            logger.warning("the serving certificate %s: %s", word, self._pair)

    def _follow(self) -> None:
        for _ in self._occasions():
            try:
                self.check()
            except Exception as error:
                if self._failed != repr(error):
                    self._failed = repr(error)
                    logger.exception("the serving certificate cannot be looked at")

    def _occasions(self) -> Iterator[object]:
        """Come back when something has changed beside the files, and after the interval in any case, until `stop`."""
        # It tells of every change at the level of our own news.
        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        contents = self._pair.contents
        try:
            yield from watch(
                *{contents.cert_file.parent, contents.key_file.parent},
                watch_filter=None,
                step=_STEP_MILLISECONDS,
                rust_timeout=round(self._interval * 1000),
                yield_on_timeout=True,
                stop_event=self._stopping,
                recursive=False,
            )
        except (OSError, RuntimeError) as error:  # the library's own error is the latter, and not exported
            logger.info("nothing tells of new certificates, so they are looked for: %s", error)
        while not self._stopping.wait(self._interval):
            yield None
