"""How fast the page of ``avel serve`` is in a browser: first views, an hour's timeline, ten thousand videos.

    python benchmarks/web_page.py [--videos 10000]

Headless chromium opens the page of the real server on the same machine; see tests/web/browser. An hour is a clip of
10 s repeated without encoding it again, with 600 events in 8 categories, made by hand: the page is what is measured.

- A first view is the time from the click on a video to the list of events, the painted lanes and a picture in the
  player. "all" is until the waveform and the strip of pictures are there too; the server makes both when they are first
  asked for and keeps them, so opening the video again is measured as well (medians). The very first view of a server
  that has just been started, with its processes still starting, is that of another clip.
- Frames a second are those of `requestAnimationFrame` while every frame moves on: the view of an hour (about 28 pixels
  a second, the scores of all 8 lanes shown), or the list of videos. Medians of several runs; on a busy machine the
  processor time that the browser needs for a frame says more: a frame a sixtieth of a second leaves 16.7 ms.

The result tells how busy the machine was.
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
OTHER = "double_bass_54bz5.mp4"
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
FRAMES = """seconds => new Promise(done => {
  const stage = document.querySelector('.stage');
  const move = stage
    ? () => stage.dispatchEvent(new WheelEvent('wheel', { deltaX: 60, bubbles: true, cancelable: true }))
    : () => window.scrollBy(0, 90);
  const start = performance.now();
  let last = start, frames = 0, longest = 0;
  const step = now => {
    if (frames > 0) longest = Math.max(longest, now - last);
    last = now;
    if (now - start > seconds * 1000) {
      done({ frames, seconds: (now - start) / 1000, longest });
      return;
    }
    frames += 1;
    move();
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
    short, long, other = folder / CLIP, folder / "hour.mp4", folder / OTHER
    for path in (short, other):
        shutil.copy(SHARED / "data" / "media" / "events" / path.name, path)
    repeated = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(short), "-t", "3600", "-c", "copy"]
    subprocess.run([*repeated, "-movflags", "+faststart", str(long)], check=True)
    for path in (short, other):
        write_all(make_result(path), folder / "results", ["json"])
    write_all(long_result(long, 3600, 600), folder / "results", ["json"])
    found: dict[str, Any] = {}
    server = Server(folder / "results")
    try:
        found["just_started"] = {"first_view_s": round(opening(opened(browser, server.address()), OTHER)[0], 2)}
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
        for _ in range(11):
            page.keyboard.press("+")
        page.keyboard.press("Home")
        page.wait_for_timeout(1000)
        found["scrolling_an_hour"] = scrolling(page)
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
        return {
            "videos": count,
            "server_ready_s": round(ready - start, 2),
            "first_view_s": round(shown - ready, 2),
            "cards_on_the_page": page.get_by_role("listitem").count(),
            **scrolling(page),
        }
    finally:
        server.stop()


def scrolling(page: Page) -> dict[str, Any]:
    runs = []
    for _ in range(REPEATS):
        page.keyboard.press("Home")
        page.wait_for_timeout(300)
        before = browser_seconds()
        run = page.evaluate(FRAMES, 3)
        run["processor_ms"] = 1000 * (browser_seconds() - before) / run["frames"]
        runs.append(run)
    return {
        "frames_per_second": round(statistics.median(run["frames"] / run["seconds"] for run in runs), 1),
        "frames_per_second_of_each": [round(run["frames"] / run["seconds"], 1) for run in runs],
        "longest_frame_ms": round(statistics.median(run["longest"] for run in runs), 1),
        "processor_ms_per_frame": round(statistics.median(run["processor_ms"] for run in runs), 1),
    }


def browser_seconds() -> float:
    """Processor time of all processes of the browser that this one started."""
    children: dict[int, list[int]] = {}
    spent: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            fields = rest.split()
        except OSError:
            continue  # it has ended meanwhile
        if "python" in name:
            continue  # the server, which draws small pictures meanwhile
        children.setdefault(int(fields[1]), []).append(int(folder.name))
        spent[int(folder.name)] = int(fields[11]) + int(fields[12])
    todo, total = list(children.get(os.getpid(), [])), 0
    while todo:
        process = todo.pop()
        todo += children.get(process, [])
        total += spent.get(process, 0)
    return total / os.sysconf("SC_CLK_TCK")


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
        load = os.getloadavg()[0]
        result = {
            "chromium": browser.version,
            "load_average": round(load, 1),
            **views(browser, Path(first)),
        }
        result["library"] = library(browser, Path(second), arguments.videos)
        print("library", result["library"])
        browser.close()
    save(__file__, result)


if __name__ == "__main__":
    main()
