"""What can be said of a configuration before anything runs: for the start, for `validate` and for a reload."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from metrics_apiserver import registry
from metrics_apiserver.kube.authorities import authority_problems
from metrics_apiserver.serving.certificates import ensure_certificate
from metrics_apiserver.serving.ciphers import cipher_problems
from metrics_apiserver.serving.pairs import CertificateError, Pair, read_pair
from metrics_apiserver.settings import Settings, SettingsError
from metrics_apiserver.settings.checks import printable

__all__ = ["load", "load_certificate", "load_for_worker", "remember"]

logger = logging.getLogger("metrics_apiserver")

# What the master began with, for its workers: they get it by the fork.
_at_start: list[Settings] = []


def load(environ: Mapping[str, str], content: bytes | None = None) -> tuple[Settings, list[str]]:
    """Read the settings, and say what is wrong with all but the serving certificate.

    `content` is what the file of --config holds, where it was read already.
    """
    settings, problems = Settings.load(environ, content)
    problems += registry.check(settings.providers, settings.source.provider_line)
    further = authority_problems(settings.authentication) + cipher_problems(settings.serving.tls_cipher_suites)
    problems += [settings.source.placed(problem) for problem in further]
    # What they quote is what somebody wrote: one line each, that has an encoding.
    return settings, [printable(problem) for problem in problems]


def remember(settings: Settings) -> None:
    """Keep the settings that the server starts with, for workers that find others which are wrong."""
    _at_start[:] = [settings]


def load_for_worker(environ: Mapping[str, str]) -> Settings:
    """Read the settings anew, as a reload (SIGHUP) wants them; those of the start where they are wrong by now.

    A worker that cannot begin would be the end of the master, and so of a server that serves. Raises SettingsError
    where there was no start.
    """
    settings, problems = load(environ)
    if not problems:
        return settings
    if not _at_start:
        raise SettingsError(problems)
    # What follows the file says why, as of any other wrong change.
    logger.warning("the configuration is wrong by now, and this worker goes on with that of the start")
    return _at_start[0]


def load_certificate(settings: Settings, *, make: bool) -> tuple[Pair | None, list[str]]:
    """Read the serving certificate, and say what is wrong with it; where none is given, it may be made."""
    serving = settings.serving
    given = serving.tls_cert_file, serving.tls_private_key_file
    if any(given) and not all(path and os.access(path, os.R_OK) for path in given):
        # The settings say so already.
        return None, []
    if not any(given) and not make:
        return None, []
    try:
        return read_pair(*ensure_certificate(serving)), []
    except CertificateError as error:
        return None, [settings.source.placed(problem) for problem in error.problems]
