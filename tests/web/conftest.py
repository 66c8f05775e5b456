"""A page over results of small clips."""

import pytest
from hand_made_results import make_result
from starlette.testclient import TestClient
from tiny_clips import make_clip

from avel.outputs import write_all
from avel.web.app import make_app
from avel.web.collection import open_collection
from avel.web.library import Library
from avel.web.serve import access_to

HOST = "http://127.0.0.1:8765"


class Page:
    """A browser that has opened the page."""

    def __init__(self, client, library):
        self.client, self.library = client, library
        assert client.get("/").status_code == 200
        self.token = client.get("/api/session").json()["token"]

    def get(self, address, **more):
        return self.client.get(f"/api/{address}", **more)

    def post(self, address, body=None, **more):
        headers = {"X-Avel-Token": self.token, **more.pop("headers", {})}
        return self.client.post(f"/api/{address}", json=body, headers=headers, **more)

    def id_of(self, name):
        return next(v["id"] for v in self.get("videos").json()["videos"] if v["name"] == name)


@pytest.fixture(scope="session")
def small_clips(tmp_path_factory):
    """Two clips of three seconds, of which nothing has been found out."""
    folder = tmp_path_factory.mktemp("page")
    for number, name in enumerate(["dog.mp4", "goat.mp4"]):
        make_clip(folder / name, (200 * number, 90, 128), hertz=300 + 500 * number, seconds=3)
    return folder


@pytest.fixture
def results(small_clips, tmp_path):
    """A folder of results of both."""
    folder = tmp_path / "results"
    spans = {
        "dog": [("Bark", 0.5, 1.5, "audio-visual", 0.9), ("Music", 1.0, 3.0, "audio", 0.6)],
        "goat": [("Goat", 1.0, 2.0, "audio", 0.7)],
    }
    for name, events in spans.items():
        write_all(make_result(small_clips / f"{name}.mp4", 3.0, events), folder, ["json"])
    return folder


@pytest.fixture
def open_page():
    """Open a page of some videos or results."""
    opened = []

    def open_one(*given, output=None, settings=None):
        library = Library(open_collection([str(one) for one in given], output and str(output)))
        client = TestClient(make_app(library, access_to(None), settings), HOST)
        client.__enter__()
        opened.append(client)
        return Page(client, library)

    yield open_one
    for client in opened:
        client.__exit__(None, None, None)
