"""Uploads, progress and states in the library, with the real localizer, in a real browser."""

import re

import pytest
from browser_server import Server
from page_actions import option, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def empty(chromium, localizer_weights):
    """A server that waits for uploads."""
    server = Server()
    yield server
    server.stop()


def drop(page, path):
    """Let a file fall on the page."""
    given = page.evaluate_handle(
        """([name, numbers]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(numbers)], name));
          return transfer;
        }""",
        [path.name, list(path.read_bytes())],
    )
    page.locator("body").dispatch_event("dragenter", {"dataTransfer": given})
    page.get_by_text("Drop videos to add them").wait_for()
    page.locator("body").dispatch_event("drop", {"dataTransfer": given})


def test_an_uploaded_video_is_localized_and_a_broken_one_says_why(empty, tab, event_clips, tmp_path):
    (tmp_path / "<b>broken.mp4").write_bytes((event_clips / "dog_bark_avsync.mp4").read_bytes()[:3000])
    (tmp_path / "notes.txt").write_text("no video")
    page = tab(empty.address())
    page.get_by_text("No videos yet.").wait_for()
    page.locator("input[type=file]").set_input_files([event_clips / "dog_bark_avsync.mp4", tmp_path / "notes.txt"])
    drop(page, tmp_path / "<b>broken.mp4")
    page.get_by_role("region", name="Uploads").get_by_text(".txt is not a kind of video").wait_for()
    page.get_by_role("region", name="Uploads").get_by_text("<b>broken.mp4: the recording was cut off").wait_for()
    card = page.get_by_role("listitem").filter(has_text="dog_bark_avsync.mp4").filter(has=page.locator(".badge.done"))
    card.wait_for()
    assert "event" in card.inner_text()
    card.get_by_role("link").click()
    option(page).first.wait_for()
    assert page.get_by_role("option", name=re.compile("Dog|Bark")).count() >= 1
    until(page, "document.querySelector('video').readyState >= 2")
    page.get_by_role("button", name="Localize again").click()
    page.get_by_role("button", name="Cancel").wait_for()
    page.get_by_role("button", name="Localize again").wait_for()
    option(page).first.wait_for()
