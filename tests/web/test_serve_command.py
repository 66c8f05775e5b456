"""The command in a process of its own, as a user runs it."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner

from avel.cli.main import app
from avel.errors import AvelError
from avel.web.serve import serve


class Running:
    """``avel serve`` on a free port."""

    def __init__(self, *arguments, folder):
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = os.environ | {"TMPDIR": str(temporary), "XDG_CACHE_HOME": str(folder / "cache")}
        self.temporary = temporary
        command = [sys.executable, "-m", "avel", "serve", "--port", "0", *map(str, arguments)]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.said = []
        for line in self.process.stderr:
            self.said.append(line.strip())
            if found := re.search(r"Open http://(\S+):(\d+)/(\S*) in a browser", line):
                self.host, self.port, self.rest = found[1], int(found[2]), found[3]
                return
        raise AssertionError(self.said)

    def get(self, address, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("GET", address, headers=headers)
        return connection.getresponse()

    def end(self, number):
        self.process.send_signal(number)
        rest = self.process.communicate(timeout=300)[1]
        return self.process.returncode, rest


@pytest.fixture
def start(tmp_path):
    """Start servers, none of which is left."""
    started = []

    def start_one(*arguments):
        started.append(Running(*arguments, folder=tmp_path))
        return started[-1]

    yield start_one
    for server in started:
        server.process.kill()
        server.process.communicate()


def children(process):
    if not Path(f"/proc/{process}/task/{process}/children").exists():
        pytest.skip("this system does not list the children of a process")
    listed = [path.read_text().split() for path in Path(f"/proc/{process}/task").glob("*/children")]
    return [int(child) for of_thread in listed for child in of_thread]


def is_gone(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition):
    end = time.monotonic() + 300
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -15), (signal.SIGKILL, -9)])
def test_it_ends_with_all_its_processes(start, results, number, code):
    server = start(results)
    cookie = server.get("/").headers["set-cookie"].partition(";")[0]
    stream = server.get("/api/stream", Cookie=cookie)  # a page that is open does not hold it up
    assert stream.status == 200
    listed = server.get("/api/videos", Cookie=cookie)
    assert b"dog.mp4" in listed.read()
    video = re.search(rb"/api/videos/\w+/thumbnail", server.get("/api/videos", Cookie=cookie).read())[0].decode()
    assert server.get(video, Cookie=cookie).status == 200  # which another process made
    processes = children(server.process.pid)
    assert processes
    ended, rest = server.end(number)
    assert (ended, rest) == (code, "")
    assert wait_until(lambda: all(map(is_gone, processes)))
    if number != signal.SIGKILL:
        assert list(server.temporary.iterdir()) == []


@pytest.fixture
def told(monkeypatch, results, tmp_path):
    """What is printed, of a server that ends as soon as it runs, and leaves nothing."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: sockets[0].close())

    def tell(*others, **more):
        lines = []
        serve(others or [str(results)], port=0, say=lines.append, **more)
        assert list(temporary.iterdir()) == []
        return lines

    return tell


def test_the_link_is_told(told):
    (line,) = told()
    assert re.fullmatch(r"2 videos. Open http://127.0.0.1:\d+/ in a browser; Ctrl-C ends it.", line)
    (line,) = told(host="127.0.0.1")  # other people on this machine need the token
    assert re.search(r"http://127.0.0.1:\d+/\?token=[\w-]{32} ", line)
    (line,) = told(host="0.0.0.0")
    assert re.search(rf"http://{socket.gethostname()}:\d+/\?token=[\w-]{{32}} ", line)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"segment_seconds": 0}, ValueError, "segment_seconds must be from"),
        ({"device": "gpu"}, ValueError, "device must be one of"),
        ({"precision": "int4"}, ValueError, "precision must be one of"),
        ({"audio_tagger": "ears"}, ValueError, "Unknown audio tagger 'ears'"),
        ({"categories": "Bark, barks"}, AvelError, "'Bark' and 'barks' both mean Bark"),
    ],
)
def test_a_setting_that_no_video_could_be_localized_with_opens_no_page(told, settings, error, message):
    with pytest.raises(error, match=message):
        told(settings=settings)


def test_what_cannot_be_opened_is_a_warning(told, small_clips, tmp_path):
    lines = told(str(small_clips / "dog.mp4"), "nowhere", output=str(tmp_path / "out"))
    assert lines[0] == "warning: nowhere: no such file. Check the name."


def test_a_port_that_is_taken(results):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AvelError, match=rf"port {port}: Address already in use. Choose another one with --port."):
            serve([str(results)], port=port)


def said(*arguments):
    result = CliRunner().invoke(app, ["serve", "--port", "0", *map(str, arguments)])
    return result.exit_code, " ".join((result.stderr or str(result.exception)).split())


def test_wrong_usage_is_said_at_once(tmp_path, results):
    assert said(results, "--model", "nothing")[1].startswith("error: Unknown model 'nothing'.")
    assert "There is no video and no result to show" in str(
        CliRunner().invoke(app, ["serve", "--port", "0", str(tmp_path / "none.mp4")]).exception
    )
    code, words = said(results, tmp_path)
    assert (code, "holds results. Give it alone" in words) == (2, True)


def test_without_its_packages_one_line_says_how_to_get_them(monkeypatch, results):
    for name in list(sys.modules):
        if name.startswith(("avel.web.", "starlette", "uvicorn", "sse_starlette")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, words = said(results)
    assert (code, words) == (
        1,
        "error: The page needs packages that are not installed. Install them with: pip install 'avel[web]'",
    )
