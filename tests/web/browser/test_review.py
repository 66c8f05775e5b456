"""What a person does on the page, in a real browser, on real clips."""

import re

import pytest
from page_actions import AXE, drag, events, now, option, point, saved, until

from avel.events import Localization

pytestmark = pytest.mark.browser

BARK = "Bark, heard and seen, from 1 second to 3 seconds, score 0.80"


def test_a_click_seeks_and_chooses(review):
    page = review("dog")
    assert events(page)[1] == BARK
    page.mouse.click(*point(page, "Bark", 4.5))
    until(page, "Math.abs(document.querySelector('video').currentTime - 4.5) < 0.05")
    page.mouse.click(*point(page, "Bark", 2.0))
    assert option(page, selected=True).locator(".hidden").text_content() == BARK
    assert now(page) == pytest.approx(2.0, abs=0.05)
    assert page.get_by_role("slider", name="Position in the video").get_attribute("aria-valuetext") == (
        "2 seconds of 6 seconds"
    )


def test_a_dragged_end_is_kept_undone_and_exported(review, served, tmp_path):
    page = review("dragged")
    page.mouse.click(*point(page, "Bark", 2.0))
    drag(page, point(page, "Bark", 3.0), point(page, "Bark", 4.3))
    saved(page)
    assert "Bark, heard and seen, from 1 second to 4 seconds, score 0.80, set by a person" in events(page)
    drag(page, point(page, "Bark", 4.0), point(page, "Bark", 4.5), alt=True)
    saved(page)
    assert any("to 4.5 seconds" in event for event in events(page))
    page.get_by_role("button", name="Undo").click()
    option(page, "Bark.*to 4 seconds").wait_for()
    page.reload()
    option(page, "Bark.*to 4 seconds").wait_for()

    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.locator('a[href$="format=json"]').click()
    download.value.save_as(tmp_path / "dog.json")
    result = Localization.from_json(tmp_path / "dog.json")
    assert [(e.start_seconds, e.end_seconds) for e in result.events if e.category == "Bark"] == [(1.0, 4.0)]

    page.get_by_role("button", name="Undo").click()
    option(page, f"{BARK}$").wait_for()
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_a_dragged_threshold_shows_what_it_would_change(review):
    page = review("threshold")
    x, y = point(page, "Music", 5.0)  # the scores' lower edge is at 72 pixels, their upper one at 18
    drag(page, (x, y + 45), (x, y + 30))
    page.get_by_text("0 events instead of 1").wait_for()
    assert len(events(page)) == 2, "nothing is changed yet"
    page.get_by_role("button", name="Use").click()
    saved(page)
    assert [event.split(",")[0] for event in events(page)] == ["Bark"]
    page.keyboard.press("Control+z")
    option(page, "Music").wait_for()


def test_what_the_model_knows_besides_is_a_row_of_the_timeline(review):
    page = review("dog")
    chosen = page.get_by_label("What the model knows besides")
    assert chosen.locator("option").all_inner_texts() == ["No detail", "share of visual"]
    with page.expect_response("**/detail?*") as answer:
        chosen.select_option("share of visual")
    assert answer.value.json() == {"values": [0, 0.2, 0.4, 0.6, 0.8, 1]}
    page.get_by_text("share of visual, 0 to 1").wait_for()
    heights = "[...document.querySelectorAll('.names .parts span')].map(({ style }) => style.top)"
    assert page.evaluate(heights) == ["28px", "88px", "158px"]
    chosen.select_option("No detail")
    until(page, "document.querySelectorAll('.names .parts span').length === 2")
    assert review("speech").get_by_label("What the model knows besides").count() == 0


def test_the_keyboard_alone_is_enough(review):
    page = review("speech")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    chosen = option(page, selected=True)
    assert chosen.locator(".hidden").text_content() == "Dog, seen only, from 4 seconds to 5 seconds, score 0.55"
    assert now(page) == pytest.approx(4.0, abs=0.05)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("[")  # starts where the video stands
    option(page, "Dog.*from 3 seconds to 5 seconds").wait_for()
    page.keyboard.press("Control+ArrowRight")  # moves on by a segment
    option(page, "Dog.*from 4 seconds to 6 seconds").wait_for()
    page.keyboard.press("}")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("s")
    option(page, "Dog.*from 5 seconds to 6 seconds").wait_for()
    page.keyboard.press("Delete")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("2")  # becomes the second category
    saved(page)
    page.keyboard.press("c")
    assert page.evaluate("document.activeElement.id") == "event-category"
    page.keyboard.press("Escape")  # leaves the field
    page.keyboard.press("Escape")  # chooses no event
    page.keyboard.press("Home")
    page.keyboard.press("a")
    option(page, "by a person|set by").first.wait_for()
    count = len(events(page))
    page.keyboard.press("Control+z")
    until(page, f"document.querySelectorAll('.events li').length === {count - 1}")
    page.keyboard.press("Control+Shift+z")
    until(page, f"document.querySelectorAll('.events li').length === {count}")
    page.keyboard.press("r")
    page.get_by_role("button", name="Reviewed", pressed=True).wait_for()
    page.keyboard.press(" ")
    until(page, "!document.querySelector('video').paused")
    page.keyboard.press("k")
    until(page, "document.querySelector('video').paused")
    page.keyboard.press("End")
    page.keyboard.press("j")
    until(page, "document.querySelector('video').currentTime < 5")  # backwards
    page.keyboard.press("k")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    page.keyboard.press("Tab")
    focused = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert focused == "3px", "the focus is seen"


def test_two_windows_do_not_overwrite_each_other(review):
    told, untold = review("two windows"), review("two windows", without="**/api/stream")
    first = review("two windows")
    first.mouse.click(*point(first, "Bark", 0.5, 4.0))
    first.keyboard.press("m")
    saved(first)
    merged = ["Bark, heard and seen, from 0 seconds to 3 seconds, score 0.70, set by a person"]
    told.get_by_text("changed in another window").wait_for()
    assert events(told) == events(first) == merged
    assert len(events(untold)) == 2
    untold.keyboard.press("ArrowDown")
    untold.keyboard.press("Delete")
    untold.get_by_text("changed in another window").wait_for()
    assert events(untold) == merged


def test_a_change_outlives_a_killed_server(review, served):
    page = review("killed")
    page.keyboard.press("ArrowDown")
    served.kill()
    page.keyboard.press("Delete")
    page.get_by_text("Not saved yet").wait_for()
    title = page.locator("#events-title").inner_text()
    page.get_by_role("link", name="All videos").click()  # it gets there from another view, too
    served.start()
    page.get_by_role("link", name=re.compile("killed")).click()
    there = f"document.querySelector('#events-title')?.textContent === '{title}'"
    until(page, there)
    page.reload()
    until(page, there)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(review, served, tab, scheme):
    if not AXE.exists():
        pytest.skip("no axe-core here (npm ci in web/)")
    library = tab(served.address(), color_scheme=scheme)
    library.get_by_role("listitem").first.wait_for()
    page = review("dog", color_scheme=scheme)
    page.keyboard.press("ArrowDown")
    for one in (library, page):
        one.evaluate(AXE.read_text(encoding="utf-8"))
        found = one.evaluate("axe.run(document)")["violations"]
        serious = [
            f"{v['id']}: {[n['html'] for n in v['nodes']][:3]}" for v in found if v["impact"] in ("serious", "critical")
        ]
        assert not serious


@pytest.mark.parametrize("width", [360, 3840])
def test_it_fits_any_screen(review, served, tab, width):
    library = tab(served.address())
    page = review("dog")
    for one in (library, page):
        one.set_viewport_size({"width": width, "height": 800})
        until(one, "new Promise(done => requestAnimationFrame(() => setTimeout(() => done(true), 50)))")
        assert one.evaluate("document.documentElement.scrollWidth") <= width
