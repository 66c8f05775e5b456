import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PROGRAM = """
import os, signal, sys
from avel.batch.supervise import can_supervise, supervised

def work(first, begin):
    print("starts at", first)
    for item in range(first, 4):
        begin(item)
        {body}
        print("did", item)
    return 0

assert can_supervise()
code = supervised(work, 4, lambda item, how: print("died:", item, how, flush=True))
print("code", code)
"""


def run(body: str) -> list[str]:
    program = PROGRAM.format(body=body)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_all_items_are_done_by_one_child():
    assert run("assert os.getppid() > 1") == ["starts at 0", "did 0", "did 1", "did 2", "did 3", "code 0"]


def test_a_death_costs_one_item():
    assert run("item == 1 and (sys.stdout.flush(), os.kill(os.getpid(), signal.SIGKILL))") == [
        "starts at 0",
        "did 0",
        "died: 1 signal SIGKILL",
        "starts at 2",
        "did 2",
        "did 3",
        "code 1",
    ]


def test_every_item_may_kill_its_process():
    lines = run("os.abort()")
    assert [line for line in lines if "died" in line] == [f"died: {item} signal SIGABRT" for item in range(4)]
    assert lines[-1] == "code 1"


def test_a_death_before_the_first_item_ends_the_work():
    program = PROGRAM.format(body="pass").replace('print("starts at", first)', "os.abort()")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.splitlines() == ["died: None signal SIGABRT", "code 1"]


def test_an_end_that_was_asked_for_is_no_death():
    assert run("os.kill(os.getpid(), signal.SIGTERM)")[-1] == "code 143"


def test_an_exit_code_is_passed_on():
    assert run("sys.exit(3)") == ["starts at 0", "code 3"]
