"""Work in processes of its own: results, failures, deadlines, and what a signal ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.waiting import wait_for
from unpaired.core.errors import UnpairedError
from unpaired.core.own_process import OutOfTime, in_own_process, termination_as_interrupt


def write_and_sleep(path: Path) -> None:
    path.write_text(str(os.getpid()))
    print("internal")
    time.sleep(100)


class Odd(Exception):
    """Cannot be sent to another process."""

    def __init__(self, first, second):
        super().__init__(f"{first}\n{second}")


def fail(kind):
    raise {"odd": Odd("two", "lines"), "told": UnpairedError("use another")}[kind]


def is_running(path: Path) -> bool:
    try:
        os.kill(int(path.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def test_results_and_failures():
    assert in_own_process(os.getpid) != os.getpid()
    with pytest.raises(UnpairedError, match=r"^Odd: two lines$"):
        in_own_process(fail, "odd")
    with pytest.raises(UnpairedError, match=r"^use another$"):
        in_own_process(fail, "told")
    with pytest.raises(UnpairedError, match="killed"):
        in_own_process(os._exit, 1)


def test_the_deadline_ends_it(tmp_path, capfd):
    path = tmp_path / "pid"
    begin = time.monotonic()
    deadline = begin + 4
    with pytest.raises(OutOfTime):
        in_own_process(write_and_sleep, path, deadline=deadline)
    assert time.monotonic() - begin < 30
    if path.exists():  # Unless the machine took longer to start it.
        assert not is_running(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(tmp_path, capfd, number):
    path = tmp_path / "pid"

    def send():
        wait_for(lambda: path.exists() and path.read_text())
        os.kill(int(path.read_text()), signal.SIGINT)  # A terminal sends it to both.
        time.sleep(0.2)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), termination_as_interrupt():
        in_own_process(write_and_sleep, path)
    thread.join()
    assert not is_running(path)
    assert signal.getsignal(signal.SIGTERM) is before
    assert capfd.readouterr() == ("", "")


def hand_on(path: Path) -> None:
    in_own_process(write_and_sleep, path)


@pytest.mark.long
def test_it_ends_with_a_parent_that_is_killed(tmp_path):
    path = tmp_path / "pid"
    with pytest.raises(OutOfTime):
        in_own_process(hand_on, path, deadline=time.monotonic() + 8)
    if path.exists():
        wait_for(lambda: not is_running(path), seconds=10)
