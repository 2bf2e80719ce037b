"""Lines are written by a thread of their own: in order, whole, and never at the cost of who logs."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metrics_apiserver.logs import writing
from metrics_apiserver.logs.writing import LineWriter
from tests.controlplane.waiting import wait_until

PROJECT = Path(__file__).parents[2]
LINE = b"x" * 199 + b"\n"


class Pipe:
    """A pipe whose reader reads when it is told to."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()

    def read(self) -> bytes:
        return os.read(self.out, 1 << 16)

    def read_until(self, end: bytes) -> bytes:
        received = b""
        while not received.endswith(end):
            received += self.read()
        return received

    def close(self) -> None:
        os.close(self.out)
        os.close(self.into)


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture(name="make")
def _make(pipe: Pipe) -> Iterator[Callable[[int], LineWriter]]:
    """Make writers to a descriptor; at the end whatever still waits is let go."""
    writers = []

    def make(descriptor: int) -> LineWriter:
        writers.append(LineWriter(descriptor, lambda count, why: f"{count} dropped: {why}\n".encode()))
        return writers[-1]

    yield make
    os.set_blocking(pipe.out, False)
    for writer in writers:
        while not writer.flush(0.05):
            try:
                pipe.read()
            except OSError:
                continue
        writer.stop()


def fill(writer: LineWriter) -> int:
    """Log until something is dropped; give how many lines were put before."""
    count = 0
    while not writer.dropped:
        writer.put(LINE)
        count += 1
    return count - writer.dropped


def test_lines_arrive_in_order_and_whole(make: Callable[[int], LineWriter], pipe: Pipe) -> None:
    """Of one thread in its order, of several each line by itself."""
    writer = make(pipe.into)
    lines = [f"{thread} {number} {'x' * (number % 300)}\n".encode() for thread in range(4) for number in range(500)]

    def put(thread: int) -> None:
        for line in lines[thread * 500 : (thread + 1) * 500]:
            writer.put(line)

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    received = b""
    while received.count(b"\n") < len(lines):
        received += pipe.read()
    for thread in threads:
        thread.join()
    found = received.splitlines(keepends=True)
    assert sorted(found) == sorted(lines)
    for thread in range(4):
        assert [line for line in found if line.startswith(b"%d " % thread)] == lines[thread * 500 : (thread + 1) * 500]


def test_reader_that_stops_stops_nobody_and_is_told_what_it_missed(
    make: Callable[[int], LineWriter], pipe: Pipe
) -> None:
    """The queue is bounded; one line says how many are missing, where they are missing."""
    writer = make(pipe.into)
    kept = fill(writer)
    for _ in range(9):
        writer.put(LINE)
    assert writer.dropped == 10
    assert kept * len(LINE) <= writing._QUEUE_BYTES + (1 << 20)
    received = pipe.read_until(b"slow\n")
    writer.put(b"the next\n")
    received += pipe.read_until(b"next\n")
    lines = received.splitlines(keepends=True)
    assert set(lines[:kept]) == {LINE}
    assert lines[kept:] == [b"10 dropped: the log's reader was slow\n", b"the next\n"]


def test_slow_reader_is_not_told_with_every_other_line(make: Callable[[int], LineWriter], pipe: Pipe) -> None:
    """Dropping goes on until half of the queue is free."""
    writer = make(pipe.into)
    kept = fill(writer)
    received = b""
    while len(received) < kept * len(LINE) // 4:
        received += pipe.read()
        writer.put(LINE)
    assert b"dropped" not in received
    received += pipe.read_until(b"slow\n")
    assert received.count(b"dropped") == 1


def test_flush_waits_for_a_moment_only(make: Callable[[int], LineWriter], pipe: Pipe) -> None:
    """And says whether all is written."""
    writer = make(pipe.into)
    assert writer.flush(0)
    writer.put(LINE)
    assert writer.flush(20)
    fill(writer)
    assert not writer.flush(0.01)
    # Nor does whoever ends it, or forks.
    writer.stop(0.01)
    pipe.read_until(b"slow\n")
    writer.put(b"goes on\n")
    assert pipe.read_until(b"on\n") == b"goes on\n"


@pytest.mark.parametrize("path", ["/dev/full", None], ids=["a full disk", "a reader that has gone"])
def test_failure_to_write_is_counted_and_ends_nothing(
    make: Callable[[int], LineWriter], pipe: Pipe, path: str | None
) -> None:
    """It is said as soon as lines go out again."""
    there = os.dup(pipe.into)
    if path is None:
        out, broken = os.pipe()
        os.close(out)
    else:
        broken = os.open(path, os.O_WRONLY)
    os.dup2(broken, there)
    os.close(broken)
    writer = make(there)
    for count in range(1, 4):
        writer.put(LINE)
        wait_until(lambda count=count: writer.dropped == count, 20, "nothing was counted")
    assert writer.flush(20)
    assert writer.dropped == 3
    os.dup2(pipe.into, there)
    writer.put(b"again\n")
    received = pipe.read_until(b"again\n")
    assert received.startswith(b"3 dropped: the log could not be written: ")
    writer.stop()
    os.close(there)


def test_descriptor_that_somebody_made_non_blocking_is_waited_for(
    make: Callable[[int], LineWriter], pipe: Pipe
) -> None:
    """Nothing is lost, and nobody else's setting is changed."""
    os.set_blocking(pipe.into, False)
    writer = make(pipe.into)
    for _ in range(2000):
        writer.put(LINE)
    received = b""
    while len(received) < 2000 * len(LINE):
        received += pipe.read()
    assert received == LINE * 2000
    assert not os.get_blocking(pipe.into)


@pytest.mark.parametrize(
    ("room", "kept", "lost"),
    [
        pytest.param(250, 1, 2, id="ends inside the second line"),
        pytest.param(200, 1, 2, id="ends with a line"),
        pytest.param(0, 0, 3, id="takes nothing"),
        pytest.param(401, 2, 1, id="takes a byte of the last line"),
    ],
)
def test_disk_that_is_full_tears_no_line_of_those_that_follow(
    make: Callable[[int], LineWriter], tmp_path: Path, room: int, kept: int, lost: int
) -> None:
    """What went out whole is not counted as dropped, and what went out in part gets an end."""
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = make(descriptor)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        # In one piece: nothing begins the thread in between.
        with writer._lock:
            for _ in range(3):
                writer.put(LINE)
        wait_until(lambda: writer.dropped == lost, 20, "nothing was counted")
        assert writer.flush(20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    writer.put(b"the next\n")
    assert writer.flush(20)
    writer.stop()
    os.close(descriptor)
    lines = path.read_bytes().splitlines(keepends=True)
    part = room - kept * len(LINE)
    assert lines[:kept] == [LINE] * kept
    assert lines[kept:-2] == ([b"x" * part + b"\n"] if part else [])
    assert lines[-2].startswith(f"{lost} dropped: the log could not be written: ".encode())
    assert lines[-1] == b"the next\n"


def test_line_that_is_too_long_is_cut(make: Callable[[int], LineWriter], pipe: Pipe) -> None:
    """Not within a character; more than the queue it would never get through."""
    writer = make(pipe.into)
    text = "ä" * (writing._QUEUE_BYTES // 2 + 1)
    writer.put(f"a{text}\n".encode())
    received = pipe.read_until(b"more\n").decode()
    shown, _, rest = received.partition("…")
    assert set(shown[1:]) == {"ä"}
    assert len(shown.encode()) <= writing._LONGEST_LINE
    assert rest == f" and {len(text.encode()) + 1 - len(shown.encode())} bytes more\n"
    assert writer.dropped == 0


def test_forks_on_several_threads_begin_no_second_thread() -> None:
    """Two of them would write in any order."""
    program = (
        "most, over = 0, False\n"
        "def put(number):\n"
        "    for count in range(3000): log.info('%d %d', number, count)\n"
        "def fork():\n"
        "    for _ in range(20):\n"
        "        pid = os.fork()\n"
        "        if not pid: os._exit(0)\n"
        "        os.waitpid(pid, 0)\n"
        "start = threading.Thread.start\n"
        "def counted(thread):\n"
        "    global most\n"
        "    start(thread)\n"
        "    most = max(most, sum(each.name == 'log' for each in threading.enumerate()))\n"
        "threading.Thread.start = counted\n"
        "threads = [threading.Thread(target=put, args=(each,)) for each in range(2)]\n"
        "threads += [threading.Thread(target=fork) for _ in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "logs.flush()\n"
        "print('most', most, file=sys.stderr)\n"
    )
    lines = run(program).splitlines()
    assert lines[-1] == "most 1"
    for number in range(2):
        counts = [int(line.split()[-1]) for line in lines[:-1] if line.split()[-2] == str(number)]
        assert counts == list(range(3000))


def test_handler_of_a_signal_may_log_while_its_thread_does(make: Callable[[int], LineWriter], pipe: Pipe) -> None:
    """In whichever line it comes."""
    writer = make(pipe.into)
    before = signal.signal(signal.SIGALRM, lambda *_: writer.put(b"from the handler\n"))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    reader = threading.Thread(target=pipe.read_until, args=(b"end\n",))
    reader.start()
    try:
        for _ in range(20_000):
            writer.put(b"x\n")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert writer.flush(20)
    writer.put(b"end\n")
    reader.join(20)
    assert not reader.is_alive()


def run(program: str, *, code: int = 0) -> str:
    """Run a program whose log nobody may lose; give its stderr."""
    start = "import logging, os, sys, threading\nfrom metrics_apiserver import logs\n"
    start += "logs.configure(verbosity=2, as_json=False)\n"
    start += "log = logging.getLogger('metrics_apiserver')\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + program],
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        pytest.param("", 0, id="the end of the program"),
        pytest.param("sys.exit(3)", 3, id="an exit"),
        pytest.param("raise RuntimeError('crash')", 1, id="a crash"),
        pytest.param("logs.flush(); os._exit(4)", 4, id="an exit without the interpreter's end"),
    ],
)
def test_no_line_is_lost_at_the_end(ending: str, code: int) -> None:
    """However a process ends by itself."""
    said = run(f"for number in range(3000): log.info('line %d', number)\n{ending}\n", code=code)
    assert [line.split()[-1] for line in said.splitlines() if ": line " in line] == [str(each) for each in range(3000)]


def test_child_of_a_fork_writes_its_own_lines_only() -> None:
    """In the order of the fork; the parent's are written by the parent, and both go on."""
    said = run(
        "for number in range(200): log.info('before %d', number)\n"
        "child = os.fork()\n"
        "log.info('child' if child == 0 else 'parent')\n"
        "if child: os.waitpid(child, 0); log.info('after')\n"
    )
    words = [line.partition("metrics_apiserver: ")[2] for line in said.splitlines()]
    assert words[:200] == [f"before {number}" for number in range(200)]
    assert sorted(words[200:202]) == ["child", "parent"]
    assert words[202:] == ["after"]


def test_lines_of_two_processes_are_not_mixed_up() -> None:
    """However long they are, in a pipe that takes a little at a time."""
    out, into = os.pipe()
    program = (
        "import logging, os\nfrom metrics_apiserver import logs\nlogs.configure(verbosity=2, as_json=True)\n"
        "log, child = logging.getLogger('metrics_apiserver'), os.fork()\n"
        "for length in range(0, 40_000, 500): log.info('x' * length)\n"
        "if child: os.waitpid(child, 0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, stderr=into)
    os.close(into)
    with process, os.fdopen(out, "rb", buffering=0) as reader:
        received = b"".join(iter(lambda: reader.read(1000), b""))
    lengths = [len(json.loads(line)["message"]) for line in received.splitlines()]
    assert sorted(lengths) == sorted([*range(0, 40_000, 500)] * 2)


def test_process_whose_log_nobody_reads_ends() -> None:
    """With its own code, in about a second or two."""
    out, into = os.pipe()
    program = (
        "import logging, sys\nfrom metrics_apiserver import logs\nlogs.configure(verbosity=2, as_json=False)\n"
        "for _ in range(20_000): logging.getLogger('metrics_apiserver').info('x' * 200)\nsys.exit(5)\n"
    )
    try:
        done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, stderr=into, check=False, timeout=60)
        assert done.returncode == 5
    finally:
        os.close(out)
        os.close(into)


def test_record_without_a_text_is_a_line_that_says_so() -> None:
    """What logging itself does then writes to stderr from the thread that logs, and quotes."""
    said = run("log.info('%d', 's3cr3t')\nlog.info('next')\n")
    first, second = said.splitlines()
    assert first.endswith("metrics_apiserver.logs: a line of metrics_apiserver has no text: TypeError")
    assert second.endswith("next")
    assert "s3cr3t" not in said


def test_line_about_dropped_lines_has_the_form_of_the_log() -> None:
    """JSON where JSON is wanted."""
    out, into = os.pipe()
    program = (
        "import logging, sys\nfrom metrics_apiserver import logs\nlogs.configure(verbosity=2, as_json=True)\n"
        "while not logs.dropped_lines(): logging.getLogger('metrics_apiserver').info('x' * 2000)\n"
        "print('full', flush=True)\nsys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=into
    )
    os.close(into)
    assert process.stdin is not None
    assert process.stdout is not None
    with process, os.fdopen(out, "rb") as reader:
        assert process.stdout.readline() == b"full\n"
        line = b""
        while b"dropped" not in line:
            line = reader.readline()
            said = json.loads(line)
        process.stdin.close()
        assert reader.read() == b""
    assert (said["level"], said["logger"]) == ("warning", "metrics_apiserver.logs")
    assert said["message"] == "1 line was dropped because the log's reader was slow"


def test_nobody_waits_for_the_formatting_of_another_thread() -> None:
    """A record is formatted without a lock that others want."""
    said = run(
        "begun, release = threading.Event(), threading.Event()\n"
        "class Slow:\n"
        "    def __str__(self): begun.set(); release.wait(30); return 'slow'\n"
        "thread = threading.Thread(target=log.info, args=('%s', Slow()))\n"
        "thread.start(); begun.wait(30)\n"
        "log.info('quick'); release.set(); thread.join()\n"
    )
    assert [line.split()[-1] for line in said.splitlines()] == ["quick", "slow"]
