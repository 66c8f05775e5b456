import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PROGRAM = """
import os, signal, sys
from avel.batch.supervise import can_supervise, supervised

def work(share):
    print("starts", share.number, flush=True)
    for item in share:
        {body}
        print("did", item)
    return 0

assert can_supervise()
code = supervised(work, 4, lambda item, how: print("died:", item, how, flush=True), children={children})
print("code", code)
"""


def run(body: str, children: int = 1) -> list[str]:
    program = PROGRAM.format(body=body, children=children)
    whole_lines = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False, env=whole_lines
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_all_items_are_done_by_one_child():
    assert run("assert os.getppid() > 1") == ["starts 0", "did 0", "did 1", "did 2", "did 3", "code 0"]


def test_a_death_costs_one_item():
    assert run("item == 1 and (sys.stdout.flush(), os.kill(os.getpid(), signal.SIGKILL))") == [
        "starts 0",
        "did 0",
        "died: 1 signal SIGKILL",
        "starts 0",
        "did 2",
        "did 3",
        "code 1",
    ]


def test_every_item_may_kill_its_process():
    lines = run("os.abort()")
    assert [line for line in lines if "died" in line] == [f"died: {item} signal SIGABRT" for item in range(4)]
    assert lines[-1] == "code 1"


def test_a_death_before_the_first_item_ends_the_work():
    program = PROGRAM.format(body="pass", children=1).replace('print("starts", share.number, flush=True)', "os.abort()")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.splitlines() == ["died: None signal SIGABRT", "code 1"]


def test_an_end_that_was_asked_for_is_no_death():
    assert run("os.kill(os.getpid(), signal.SIGTERM)")[-1] == "code 143"


def test_an_exit_code_is_passed_on():
    assert run("sys.exit(3)") == ["starts 0", "code 3"]


def test_several_children_do_each_item_once():
    lines = run("assert os.getppid() > 1", children=3)
    assert sorted(line for line in lines if "did" in line) == ["did 0", "did 1", "did 2", "did 3"]
    assert sorted(line for line in lines if "starts" in line) == ["starts 0", "starts 1", "starts 2"]
    assert lines[-1] == "code 0"


def test_what_dies_beside_others_is_tried_once_more_alone(tmp_path):
    once = f"item == 1 and not os.path.exists({str(tmp_path / 'once')!r}) and (open({str(tmp_path / 'once')!r}, 'w')"
    body = f"(item == 2 or {once})) and (sys.stdout.flush(), os.kill(os.getpid(), signal.SIGKILL))"
    lines = run(body, children=2)
    assert sorted(line for line in lines if "did" in line) == ["did 0", "did 1", "did 3"]
    assert [line for line in lines if "died" in line] == ["died: 2 signal SIGKILL"]
    assert lines[-1] == "code 1"


def test_an_end_that_was_asked_of_one_ends_all():
    lines = run("import time; os.kill(os.getpid(), signal.SIGTERM) if item == 0 else time.sleep(3600)", children=2)
    assert lines[-1] == "code 143"
    assert not [line for line in lines if "did" in line]


def test_what_is_done_alone_is_done_by_one_at_a_time():
    body = """
        import time
        with share.alone():
            print("in", item, flush=True); time.sleep(0.02); print("out", item, flush=True)
        continue
"""
    lines = [line.split() for line in run(body, children=4) if line.split()[0] in ("in", "out")]
    assert [line[0] for line in lines] == ["in", "out"] * 4
    assert [line[1] for line in lines[::2]] == [line[1] for line in lines[1::2]]
