"""How fast the page of ``avel serve`` is in a browser: first views, an hour's timeline, ten thousand videos.

    python benchmarks/web_page.py [--videos 10000]

Headless chromium opens the page of the real server on the same machine; see tests/web/browser. An hour is a clip of 10 s
repeated without encoding it again, with 600 events in 8 categories, made by hand: what is measured is the page.

- A first view is the time from the click on a video to the list of events, the painted lanes and a picture in the player.
  "all" is until the waveform and the strip of pictures are there too; the server makes both when they are first asked for
  and keeps them, so the second opening is measured as well.
- Frames a second are those of `requestAnimationFrame` while every frame moves the view on (an hour, 20 pixels a second,
  the scores of all lanes shown), or the list of videos.
"""

import argparse
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import ROOT, SHARED, save
from playwright.sync_api import Browser, Page, sync_playwright

from avel.outputs import write_all

sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from browser_server import Server
from hand_made_results import make_result

CLIP = "bird_0nib7.mp4"
REPEATS = 5
CATEGORIES = ("Bark", "Bird", "Car", "Cat", "Dog", "Music", "Speech", "Water")
MODALITIES = ("audio-visual", "audio", "visual")

SHOWN = """() => {
  const video = document.querySelector('video');
  const canvas = document.querySelector('.stage canvas');
  if (!video || video.readyState < 2 || !document.querySelector('.events li') || canvas.height < 300) return false;
  const { data } = canvas.getContext('2d').getImageData(0, Math.floor(canvas.height / 2), canvas.width, 1);
  return data.some(value => value > 0);
}"""
ALL = """() => ['strip', 'peaks'].every(part => performance.getEntriesByType('resource')
  .some(entry => entry.name.includes('/' + part) && entry.responseEnd > 0))"""
SCROLL_TIMELINE = """seconds => new Promise(done => {
  const stage = document.querySelector('.stage');
  const box = stage.getBoundingClientRect();
  const start = performance.now();
  let last = start, frames = 0, longest = 0;
  const step = now => {
    if (frames > 0) longest = Math.max(longest, now - last);
    last = now;
    if (now - start > seconds * 1000) { done({ frames_per_second: frames / (now - start) * 1000, longest_ms: longest }); return; }
    frames += 1;
    stage.dispatchEvent(new WheelEvent('wheel', { deltaX: 60, clientX: box.x + 100, clientY: box.y + 50, bubbles: true,
      cancelable: true }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
SCROLL_LIST = """seconds => new Promise(done => {
  const start = performance.now();
  let last = start, frames = 0, longest = 0;
  const step = now => {
    if (frames > 0) longest = Math.max(longest, now - last);
    last = now;
    if (now - start > seconds * 1000) { done({ frames_per_second: frames / (now - start) * 1000, longest_ms: longest }); return; }
    frames += 1;
    window.scrollBy(0, 90);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def long_result(video: Path, seconds: float, count: int) -> Any:
    chance = random.Random(0)
    events = []
    for _ in range(count):
        start = round(chance.uniform(0, seconds - 6), 1)
        length = round(chance.uniform(0.5, 5), 1)
        score = round(chance.uniform(0.5, 1), 2)
        events.append((chance.choice(CATEGORIES), start, start + length, chance.choice(MODALITIES), score))
    return make_result(video, seconds, events)


def until(page: Page, condition: str, since: float) -> float:
    while not page.evaluate(condition):
        if time.perf_counter() - since > 120:
            raise TimeoutError(condition)
        page.wait_for_timeout(5)
    return time.perf_counter() - since


def opening(page: Page, name: str) -> tuple[float, float]:
    """From the click to a first view, and to everything."""
    page.goto(page.url.split("/video/")[0])
    page.get_by_role("link", name=re.compile(re.escape(name))).wait_for()
    page.wait_for_timeout(500)
    page.evaluate("performance.clearResourceTimings()")
    start = time.perf_counter()
    page.get_by_role("link", name=re.compile(re.escape(name))).click()
    return until(page, SHOWN, start), until(page, ALL, start)


def opened(browser: Browser, address: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(address)
    return page


def views(browser: Browser, folder: Path) -> dict[str, Any]:
    short, long = folder / CLIP, folder / "hour.mp4"
    shutil.copy(SHARED / "data" / "media" / "events" / CLIP, short)
    repeated = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(short), "-t", "3600", "-c", "copy"]
    subprocess.run([*repeated, "-movflags", "+faststart", str(long)], check=True)
    write_all(make_result(short), folder / "results", ["json"])
    write_all(long_result(long, 3600, 600), folder / "results", ["json"])
    found: dict[str, Any] = {}
    server = Server(folder / "results")
    try:
        for name, key in ((CLIP, "clip_of_10_s"), ("hour.mp4", "hour")):
            page = opened(browser, server.address())
            first, everything = opening(page, name)
            again = [opening(page, name) for _ in range(REPEATS)]
            found[key] = {
                "first_view_s": round(first, 2),
                "all_s": round(everything, 2),
                "first_view_again_s": round(statistics.median(view for view, _ in again), 2),
                "all_again_s": round(statistics.median(all_ for _, all_ in again), 2),
            }
            print(key, found[key], flush=True)
        page.get_by_label("All scores").check()
        while "0:00" not in page.title() and page.evaluate("document.querySelectorAll('.name').length") < 8:
            page.wait_for_timeout(20)
        for _ in range(11):
            page.keyboard.press("+")
        page.keyboard.press("Home")
        page.wait_for_timeout(1000)
        found["scrolling_an_hour"] = rounded(page.evaluate(SCROLL_TIMELINE, 5))
        print("scrolling_an_hour", found["scrolling_an_hour"], flush=True)
    finally:
        server.stop()
    return found


def library(browser: Browser, folder: Path, count: int) -> dict[str, Any]:
    (folder / "videos").mkdir()
    source = folder / "source.mp4"
    shutil.copy(SHARED / "data" / "media" / "events" / CLIP, source)
    for number in range(count):
        video = folder / "videos" / f"clip_{number:05}.mp4"
        os.link(source, video)
        write_all(make_result(video), folder / "results", ["json"])
    start = time.perf_counter()
    server = Server(folder / "results")
    try:
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        ready = time.perf_counter()
        page.goto(server.address())
        page.get_by_text(f"{count:,} videos").wait_for(timeout=120_000)
        page.get_by_role("listitem").first.wait_for()
        shown = time.perf_counter()
        scrolling = rounded(page.evaluate(SCROLL_LIST, 5))
        return {
            "videos": count,
            "server_ready_s": round(ready - start, 2),
            "first_view_s": round(shown - ready, 2),
            "cards_on_the_page": page.get_by_role("listitem").count(),
            **scrolling,
        }
    finally:
        server.stop()


def rounded(measured: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in measured.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=10_000)
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        parser.error("there is no chromium here (Debian: apt install chromium)")
    with (
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory() as first,
        tempfile.TemporaryDirectory() as second,
    ):
        rights = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=rights)
        result = {"chromium": browser.version, **views(browser, Path(first))}
        result["library"] = library(browser, Path(second), arguments.videos)
        print("library", result["library"])
        browser.close()
    save(__file__, result)


if __name__ == "__main__":
    main()
