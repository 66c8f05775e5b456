import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import anyio

from avel.web.news import MOST_WAITING, News


def heard(what):
    """What two pages are told while something happens."""

    async def run():
        news = News()
        news.tell("video", {"id": "before"})  # nobody listens yet
        news.open()
        ending = anyio.Event()

        async def listen():
            return [(one["event"], json.loads(one["data"])) async for one in news.listen(ending)]

        pages = [asyncio.create_task(listen()) for _ in range(2)]
        await asyncio.sleep(0)
        await what(news)
        ending.set()
        told = await asyncio.gather(*pages)
        news.tell("video", {"id": "after"})
        news.close()
        await asyncio.to_thread(news.tell, "video", {"id": "at the end"})
        return told

    with ThreadPoolExecutor(1) as pool:  # this thread may have a loop of its own, of a browser
        return pool.submit(asyncio.run, run()).result()


def test_every_page_is_told_from_any_thread_in_order():
    async def happen(news):
        news.tell("video", {"id": "a"})
        await asyncio.to_thread(news.tell, "media", {"id": "b"})
        await asyncio.sleep(0)

    assert heard(happen) == [[("video", {"id": "a"}), ("media", {"id": "b"})]] * 2


def test_a_page_that_sleeps_misses_the_oldest():
    async def happen(news):
        for number in range(MOST_WAITING + 5):
            news.tell("video", {"id": number})

    (told, _) = heard(happen)
    assert [data["id"] for _, data in told][-1] == MOST_WAITING + 4
    assert len(told) <= MOST_WAITING
