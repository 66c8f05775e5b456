#!/usr/bin/env bash
# Question:     Two threads each enter `threadpool_limits(1, user_api="blas")` around NumPy's products, on a process whose
#               OpenBLAS has 2 threads. The second enters while the first is inside, and leaves after it. How many threads has
#               OpenBLAS in the end?
# Common guess: 2, as before: both limits are over.
# Seen:         1, for good. The second found 1 when it entered, and puts that back when it leaves. While the first is
#               inside, what the second sets is ignored without a word; when the first has left, it no longer is.
# Version:      threadpoolctl 3.8.0, numpy 2.4.6 (OpenBLAS on pthreads). Source: threadpoolctl.py (OpenBLASController).
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check threadpoolctl==3.8.0 numpy==2.4.6
OPENBLAS_NUM_THREADS=2 "$work/venv/bin/python" - <<'PY'
import threading

import numpy  # loads OpenBLAS
from threadpoolctl import threadpool_info, threadpool_limits


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


entered, leave = threading.Event(), threading.Event()


def second():
    with threadpool_limits(1, user_api="blas"):
        entered.set()
        leave.wait()


start = threads()
other = threading.Thread(target=second)
with threadpool_limits(1, user_api="blas"):
    other.start()
    entered.wait()
between = threads()
leave.set()
other.join()
print("at the start:", start, "first has left:", between, "both have left:", threads())
assert start == [2] and between == [2], "there are not 2 threads to begin with, or the first did not give them back"
assert threads() == [1], "the second gives 2 threads back now"
PY
