import re

import pytest
from starlette.testclient import TestClient

from avel.web.app import make_app
from avel.web.collection import open_collection
from avel.web.security import COOKIE, Access
from avel.web.serve import access_to
from avel.web.services import Services

LOCAL = {"host": "127.0.0.1:8765"}


@pytest.fixture
def page(open_page, results):
    return open_page(results)


def test_the_page_may_use_nothing_but_its_own(page):
    headers = page.client.get("/").headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert (policy["frame-ancestors"], policy["object-src"], policy["base-uri"]) == ("'none'", "'none'", "'none'")
    assert "unsafe" not in headers["content-security-policy"]
    assert "script-src" not in policy  # so that default-src counts
    for address in (
        "/",
        "/static/none.js",
        "/api/videos",
        "/api/nothing",
        f"/api/videos/{page.id_of('dog.mp4')}/media",
    ):
        answer = page.client.get(address)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8765", "", "[::1", "10.0.0.9"]
)
def test_a_name_that_is_pointed_at_this_machine_is_refused(page, host):
    """DNS rebinding: a page of evil.example asks evil.example, which has become 127.0.0.1."""
    answer = page.client.get("/api/videos", headers={"host": host})
    assert (answer.status_code, "videos" in answer.text) == (421, False)


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:8765", "LOCALHOST"])
def test_names_of_this_machine_are_known(page, host):
    assert page.client.get("/api/videos", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "video"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"},
    ],
)
def test_other_sites_get_and_change_nothing(page, headers):
    id_ = page.id_of("dog.mp4")
    assert page.get(f"videos/{id_}", headers=headers).status_code == 403
    assert page.post(f"videos/{id_}/reviewed", {"reviewed": True}, headers=headers).status_code == 403
    assert page.get(f"videos/{id_}").json()["review"]["reviewed"] is False


def test_a_link_on_another_site_opens_the_page_and_no_more(page):
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert page.client.get("/", headers=headers).status_code == 200
    framed = {**headers, "sec-fetch-dest": "iframe"}
    assert page.client.get("/", headers=framed).status_code == 403


def test_a_change_needs_the_token_and_a_look_the_cookie(page):
    id_ = page.id_of("dog.mp4")
    for token in ("", "wrong", "\u00e9".encode()):
        answer = page.client.post(
            f"/api/videos/{id_}/reviewed", json={"reviewed": True}, headers={"X-Avel-Token": token}
        )
        assert (answer.status_code, "X-Avel-Token" in answer.json()["error"]) == (403, True)
    cookie = page.client.get("/", headers={"cookie": "x=y"}).headers["set-cookie"]
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{32}}; Path=/; HttpOnly; SameSite=Strict", cookie)
    page.client.cookies.clear()
    for address in ("/api/videos", "/api/session", f"/api/videos/{id_}/media", "/api/stream"):
        assert page.client.get(address).status_code == 403


def test_what_is_too_large_is_not_read(page):
    id_ = page.id_of("dog.mp4")

    def endless():
        for _ in range(20):
            yield b" " * (1 << 20)

    headers = {"X-Avel-Token": page.token}
    answer = page.client.post(f"/api/videos/{id_}/events", content=endless(), headers=headers)
    assert answer.status_code == 413
    deep = "[" * 100_000
    answer = page.client.post(f"/api/videos/{id_}/events", content=deep, headers=headers)
    assert (answer.status_code, answer.json()) == (400, {"error": "The request is not valid JSON."})


def test_other_machines_need_the_link(results, tmp_path, pool):
    access = access_to("0.0.0.0")
    services = Services(open_collection([str(results)]), tmp_path / "cache", pool=pool)
    with TestClient(make_app(services, access), "http://192.168.1.5:8765") as client:
        for address in ("/", "/video/x", "/static/index.html", "/api/videos", "/?token=wrong"):
            assert client.get(address).status_code == 403
        assert "token" not in client.get("/").headers.get("set-cookie", "")
        answer = client.get(f"/?token={access.token}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert client.get("/api/videos").status_code == 200
        assert client.get("/api/videos", headers={"host": "evil.example"}).status_code == 421


def test_one_address_is_one_address():
    access = access_to("192.168.1.5")
    assert [access.allows_host(host) for host in ("192.168.1.5:1", "10.0.0.1", "localhost", "x")] == [
        True,
        False,
        True,
        False,
    ]
    assert access.needs_link
    assert not access_to(None).needs_link
    assert Access(frozenset()).token != Access(frozenset()).token
    assert access.token not in repr(access)
