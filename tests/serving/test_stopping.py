"""How a worker's last seconds are shared out, and how it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from metrics_apiserver.serving.stopping import end, end_share, requests_share, stop_share
from tests.serving.conftest import PROJECT


@pytest.mark.parametrize(
    ("total", "requests", "stop", "last"),
    [
        pytest.param(25, 20, 3.0, 1.0, id="the default"),
        pytest.param(2, 1, 0.6, 0.2, id="short"),
        pytest.param(1, 0, 0.6, 0.2, id="as short as can be"),
        pytest.param(300, 240, 36.0, 12.0, id="long"),
    ],
)
def test_shares_leave_a_rest_before_the_master_kills(total: int, requests: int, stop: float, last: float) -> None:
    """All three together are less than what the master waits for."""
    shares = requests_share(total), stop_share(total), end_share(total)
    assert shares == pytest.approx((requests, stop, last))
    assert sum(shares) < total


def test_nothing_happens_without_threads_that_are_busy() -> None:
    """The process ends as any other."""
    end(0.0)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_process_ends_with_its_code_although_a_thread_hangs(code: int) -> None:
    """The code is the one that it was leaving with; what was logged is there."""
    program = f"""
import sys, threading
from metrics_apiserver import logs
from metrics_apiserver.serving.stopping import end
logs.configure(verbosity=2, as_json=False)
threading.Thread(target=threading.Event().wait, name="the-hanging-one").start()
try:
    sys.exit({code})
finally:
    end(0.01)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.endswith("the worker ends without waiting for what still runs: the-hanging-one\n")
