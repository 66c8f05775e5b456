from pathlib import Path

from avel.batch.thumbnails import renew_thumbnail, thumbnail_path
from avel.outputs.destination import Destination
from avel.testing.shapes import make_shapes_clip


def test_a_video_that_is_localized_again_gets_a_new_picture(tmp_path: Path) -> None:
    clip = make_shapes_clip(tmp_path / "a.mp4", 1.0, [], seed=0, width=48, height=48, frame_rate=4)
    several = Destination(["a", "b"], f"{tmp_path}/out/", ["json"])
    picture = thumbnail_path(several, 0)
    assert picture == tmp_path / "out" / ".avel-thumbnails" / "a.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"of what was there before")
    renew_thumbnail(several, str(clip), 0)
    assert picture.read_bytes().startswith(b"\xff\xd8")


def test_what_needs_no_picture_has_none(tmp_path: Path) -> None:
    clip = make_shapes_clip(tmp_path / "a.mp4", 1.0, [], seed=0, width=48, height=48, frame_rate=4)
    renew_thumbnail(Destination(["a"], f"{tmp_path}/out/", ["json"]), str(clip), 0)
    assert not (tmp_path / "out").exists()
    assert thumbnail_path(Destination(["a", "b"], "-", ["json"]), 0) is None
    (tmp_path / "full").write_bytes(b"")  # no folder can be made there
    several = Destination(["a", "b"], f"{tmp_path}/full/", ["json"])
    renew_thumbnail(several, str(clip), 0)
