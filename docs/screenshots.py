"""Make the pictures of the page of ``avel serve`` that the documentation shows.

    python docs/screenshots.py

The example is localized and opened in headless chromium; see tests/web/browser.
"""

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from browser_server import Server
from page_actions import until

ROOT = Path(__file__).parents[1]

COLOURS = 256
"""A palette of so many keeps a picture below 200 kB, and nobody sees it."""


def picture(browser: Browser, server: Server, name: str, width: int, height: int, scheme: str, keys: list[str]) -> None:
    """One picture of the review of the example, after some keys were pressed."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.goto(server.address())
    page.locator(".card .badge.done").wait_for(timeout=180_000)
    page.get_by_role("listitem").get_by_role("link").click()
    page.get_by_role("listbox").wait_for()
    until(page, "document.querySelector('video').readyState >= 2", 120)
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_timeout(2000)  # the strip and the waveform
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    path = ROOT / "docs" / f"{name}.png"
    image.save(path, optimize=True)
    print(f"{path.name}  {path.stat().st_size // 1000} kB")
    context.close()


def main() -> None:
    """All of them."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("There is no chromium here (Debian: apt install chromium).")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        rights = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=rights)
        server = Server(ROOT / "examples" / "hello.ogv", "-o", folder)
        try:
            choose = ["ArrowDown", "ArrowDown", "ArrowRight"]
            picture(browser, server, "review", 1280, 1080, "light", choose)
            picture(browser, server, "review-dark", 1280, 1080, "dark", [*choose, "g"])
            picture(browser, server, "review-narrow", 360, 1130, "light", choose)
        finally:
            server.stop()
        browser.close()


if __name__ == "__main__":
    main()
