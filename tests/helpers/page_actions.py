"""What a person does on the page of avel serve, and what they see and hear of it."""

import re
import time
from pathlib import Path

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"


def point(page, category, seconds, duration=6.0):
    """Where a moment lies on a category's lane while the whole video is in view."""
    stage = page.get_by_role("slider", name="Position in the video").bounding_box()
    name = page.locator(".name", has_text=re.compile(rf"^{category}")).bounding_box()
    return stage["x"] + stage["width"] * seconds / duration, name["y"] + 6 + 12


def drag(page, start, end, alt=False):
    """By mouse, in steps as a hand makes them."""
    page.mouse.move(*start)
    page.mouse.down()
    if alt:
        page.keyboard.down("Alt")
    page.mouse.move(*end, steps=8)
    page.mouse.up()
    if alt:
        page.keyboard.up("Alt")


def events(page):
    """The events as a screen reader says them."""
    return option(page).locator(".hidden").all_text_contents()


def option(page, name=None, **how):
    """Events in the list, by what a screen reader says of them."""
    return page.get_by_role("listbox").get_by_role("option", name=name and re.compile(name), **how)


def now(page):
    return page.evaluate("document.querySelector('video').currentTime")


def saved(page):
    page.get_by_text("All changes are saved.").wait_for()


def until(page, expression, seconds=300):
    """Wait until something is true in the page; Playwright's own way needs what the content-security policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never came true: {expression}"
        page.wait_for_timeout(20)
