"""A page over results of small clips."""

import pytest
from hand_made_results import make_result
from starlette.testclient import TestClient

from avel.outputs import write_all
from avel.testing.tone_and_flash import make_clip
from avel.web.app import make_app
from avel.web.collection import open_collection
from avel.web.serve import access_to
from avel.web.services import Services
from avel.web.worker import WorkerPool

HOST = "http://127.0.0.1:8765"


class Page:
    """A browser that has opened the page."""

    def __init__(self, client, services):
        self.client, self.services = client, services
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
        make_clip(folder / name, 3.0, events=[(0.5 + number / 2, 1.5)], tone_hertz=400 + 100 * number)
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


@pytest.fixture(scope="session")
def pool():
    """Processes that draw, for all tests."""
    readers = WorkerPool(1)
    yield readers
    readers.close()


@pytest.fixture
def open_page(pool, tmp_path):
    """Open a page of some videos or results."""
    opened = []

    def open_one(*given, output=None, **more):
        collection = open_collection([str(one) for one in given], output and str(output))
        services = Services(collection, tmp_path / "cache", pool=pool, **more)
        client = TestClient(make_app(services, access_to(None)), HOST)
        client.__enter__()
        services.reader.join()  # all results are read
        opened.append(client)
        return Page(client, services)

    yield open_one
    for client in opened:
        client.__exit__(None, None, None)
