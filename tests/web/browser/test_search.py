"""Moments that are found in a library, by keyboard alone, in a real browser."""

import re
import shutil

import pytest
from browser_server import Server
from page_actions import AXE, until

from avel.library.library import index

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def searched(event_clips, tmp_path_factory, chromium, localizer_weights):
    """A page of videos in which nothing has been found yet, and a library of them and of one that it has not."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "videos").mkdir()
    for name in ("dog_bark_02677.mp4", "speech_friday_cc0.mp4"):
        shutil.copy(event_clips / name, folder / "videos")
    index([folder / "videos", event_clips / "dog_bark_avsync.mp4"], folder / "library")
    server = Server(folder / "videos", "--library", folder / "library")
    yield server
    server.stop()


def test_words_lead_to_a_moment_and_an_event_or_a_file_to_others_like_it(searched, tab, event_clips):
    page = tab(searched.address())
    page.get_by_label("Search for").select_option(label="Find a moment")
    page.keyboard.type("dog barking")
    page.keyboard.press("Enter")
    moments = page.get_by_role("region", name="Moments of “dog barking”")
    moments.get_by_role("link").first.wait_for()
    assert "Taken for dog barking: heard as Bark" in moments.inner_text()
    assert moments.get_by_role("listitem").filter(has_text="dog_bark_avsync.mp4").get_by_role("link").count() == 0
    if AXE.exists():
        page.evaluate(AXE.read_text())
        assert page.evaluate("axe.run(document)")["violations"] == []

    page.keyboard.press("ArrowDown")
    start = page.evaluate("document.activeElement.hash")
    assert re.fullmatch(r"#t=\d+", start)
    page.keyboard.press("Enter")
    until(page, f"document.querySelector('video')?.currentTime >= {start[3:]}")  # though nothing was found in it yet
    page.get_by_role("button", name="Find events").click()
    page.get_by_role("listbox").wait_for(timeout=300_000)
    until(page, f"document.querySelector('video').currentTime >= {start[3:]}")
    page.locator("[role=option]", has_text="Bark").first.click()
    page.keyboard.press("f")
    page.get_by_role("heading", name=re.compile(r"Moments like dog_bark_02677.mp4 from \d")).wait_for()
    assert "dog_bark_avsync.mp4" in page.get_by_role("list", name="Moments, the closest first").inner_text()
    page.go_back()
    page.get_by_role("listbox").wait_for()
    page.go_back()
    moments.get_by_role("link").first.wait_for()
    page.locator("input[data-part=query]").set_input_files(event_clips / "dog_bark_avsync.mp4")
    page.get_by_role("heading", name="Moments like dog_bark_avsync.mp4").wait_for()
    found = page.get_by_role("list", name="Moments, the closest first").get_by_role("link")
    assert "dog_bark_02677.mp4" in found.first.inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("list", name="Videos").get_by_role("link").first.wait_for()
