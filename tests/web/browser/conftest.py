"""A real browser that opens the page of the real server."""

import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from browser_server import Server
from hand_made_results import make_result
from page_actions import until

from avel.outputs import write_all

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def chromium():
    """A browser without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        pytest.skip("no playwright here (pip install playwright)")
    if CHROMIUM is None:
        pytest.skip("no chromium here (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        rights = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*rights, "--autoplay-policy=no-user-gesture-required"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(event_clips, tmp_path_factory, chromium):
    """Results of a few real clips, as if a localizer had found them; whoever corrects one has it alone."""
    folder = tmp_path_factory.mktemp("served")
    dog = ("dog_bark_02677.mp4", 6.0, [("Bark", 1.0, 3.0, "audio-visual", 0.8), ("Music", 0.0, 2.0, "audio", 0.6)])
    barks = ("dog_bark_avsync.mp4", 4.0, [("Bark", at, at + 1, "audio-visual", 0.7) for at in (0.0, 2.0)])
    friday = [("Speech", 0.0, 2.0, "audio-visual", 0.9), ("Dog", 4.0, 5.0, "visual", 0.55)]
    found = {
        "dog": dog,
        "dragged": dog,
        "threshold": dog,
        "speech": ("speech_friday_cc0.mp4", 6.0, friday),
        "two windows": barks,
        "killed": barks,
    }
    for name, (clip, seconds, events) in found.items():
        video = folder / f"{name}.mp4"
        shutil.copy(event_clips / clip, video)
        result = make_result(video, seconds, events)
        if name == "dog":
            result = replace(result, details={"gates": np.linspace(0, 1, 6, dtype=np.float32)})
        write_all(result, folder / "results", ["json"])
    server = Server(folder / "results")
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture
def tab(chromium):
    """Open a page at an address; at the end, none of them may have complained."""
    contexts, complaints = [], []

    def opened(address, without=None, **how):
        context = chromium.new_context(viewport={"width": 1280, "height": 1100}, accept_downloads=True, **how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(300_000)
        if without is not None:
            page.route(without, lambda route: route.abort())
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: "Content Security" in said.text and complaints.append(said.text))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def review(served, tab):
    """Open the review of a clip, with its picture and its sound there."""

    def opened(name, **how):
        page = tab(served.address(), **how)
        page.get_by_role("link", name=re.compile(rf"\b{re.escape(name)}\.mp4")).click()
        page.get_by_role("listbox").wait_for()
        until(page, "document.querySelector('video').readyState >= 2")
        return page

    return opened
