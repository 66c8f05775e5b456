#!/usr/bin/env bash
# Question:     A Starlette page holds a stream of server-sent events open, an sse-starlette EventSourceResponse over an
#               endless generator, when uvicorn is ended by SIGTERM. The library ends such streams by itself. What is logged
#               at level "warning", and what does the browser get?
# Common guess: Nothing is logged, and the stream ends as any answer does.
# Seen:         "ERROR: ASGI callable returned without completing response.", and the stream breaks off without the last,
#               empty chunk. The generator is cancelled and nothing ends the body. With shutdown_event and a
#               shutdown_grace_period, and a generator that returns when the event is set, the stream ends well.
# Version:      sse-starlette 3.7.0, uvicorn 0.54.0, starlette 1.10.0. Source: sse_starlette/sse.py (EventSourceResponse),
#               uvicorn/protocols/http/h11_impl.py (RequestResponseCycle.run_asgi).
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check sse-starlette==3.7.0 uvicorn==0.54.0 starlette==1.10.0
cd "$work"
cat > app.py <<'PY'
import anyio
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.routing import Route


async def plain(request):
    async def events():
        yield {"data": "first"}
        await anyio.sleep_forever()

    return EventSourceResponse(events())


async def cooperative(request):
    ending = anyio.Event()

    async def events():
        yield {"data": "first"}
        await ending.wait()

    return EventSourceResponse(events(), shutdown_event=ending, shutdown_grace_period=1)


app = Starlette(routes=[Route("/plain", plain), Route("/cooperative", cooperative)])
PY
"$work/venv/bin/python" - <<'PY'
import http.client
import signal
import subprocess
import sys
import time


def ended(address, port):
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for _ in range(200):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", address)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    answer = connection.getresponse()
    assert b"first" in answer.read1()
    server.send_signal(signal.SIGTERM)
    try:
        answer.read()
        end = "whole"
    except http.client.IncompleteRead:
        end = "broken off"
    return server.communicate(timeout=20)[1].strip(), end


plain, cooperative = ended("/plain", 18761), ended("/cooperative", 18762)
print("plain:      ", plain)
print("cooperative:", cooperative)
assert "returned without completing response" in plain[0] and plain[1] == "broken off", "it ends well now"
assert cooperative == ("", "whole")
PY
