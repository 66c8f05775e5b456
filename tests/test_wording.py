from avel.wording import counted


def test_one_is_singular():
    assert [counted(n, "video") for n in (0, 1, 2, 2000)] == ["0 videos", "1 video", "2 videos", "2000 videos"]
    assert [counted(n, "event category") for n in (1, 28)] == ["1 event category", "28 event categories"]
    assert counted(2, "child", "children") == "2 children"
