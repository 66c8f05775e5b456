import pytest

from avel.batch.videos import find_items


@pytest.fixture
def videos(tmp_path):
    for name in ("videos/a.mp4", "videos/results/clip.mp4", "others/b.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "videos"


def test_results_below_the_videos_are_no_videos(videos):
    items, failures = find_items([str(videos)], output=videos / "results")
    assert ([item.name for item in items], failures) == (["a"], {})


@pytest.mark.parametrize(("output", "where"), [(".", "is the folder of the results"), ("..", "lies in ")])
def test_a_folder_that_is_of_the_results_is_refused_where_nothing_else_is_given(videos, output, where):
    items, failures = find_items([str(videos)], output=videos / output)
    assert not items
    assert f"{videos}: it {where}" in failures[str(videos)]


def test_the_folder_of_the_results_beside_others_is_passed_over(videos):
    others = videos.parent / "others"
    items, failures = find_items([str(videos), str(others)], output=videos)
    assert ([item.name for item in items], failures) == (["b"], {})


def test_a_video_in_the_folder_of_the_results_that_is_named_itself_is_one(videos):
    items, failures = find_items([str(videos / "a.mp4")], output=videos)
    assert ([item.name for item in items], failures) == (["a"], {})
