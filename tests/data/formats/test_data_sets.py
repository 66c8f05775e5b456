"""Formats of data sets and of tools that write JSON, XML or tables of their own."""

import json

import pytest
from label_files import spans

from avel.data.formats import label_studio, read_annotations
from avel.errors import AnnotationsError


def test_activitynet_and_unav_100(write):
    database = {
        "a": {
            "subset": "train",
            "duration": 20.0,
            "annotations": [{"segment": [1.5, 4], "label": "dog bark", "label_id": 0}],
        },
        "b": {"subset": "validation", "duration": 5.0, "annotations": []},
    }
    found = read_annotations(write("unav100.json", json.dumps({"database": database})))
    assert spans(found) == [("a", 1.5, 4, "dog bark")]
    assert found.split_of() == {"a": "train", "b": "val"}
    database["a"]["annotations"][0]["segment"] = [1, 30]
    with pytest.raises(AnnotationsError, match="video a: the event ends at 30 s, but 'a' is 20 s long"):
        read_annotations(write("unav100.json", json.dumps({"database": database})))
    database["a"]["subset"] = "dev"
    with pytest.raises(AnnotationsError, match="video a: unknown subset 'dev'. Known are train, val, test"):
        read_annotations(write("unav100.json", json.dumps({"database": database})))


def test_ov_avebench(write):
    content = {
        "x": {"category": "people burping", "label": "[0, 1, 1, 0, 0, 1, 0, 0, 0, 0]"},
        "y": {"category": "z", "label": "[0, 0]"},
    }
    path = write("anno.json", json.dumps(content))
    assert spans(read_annotations(path)) == [("x", 1, 3, "people burping"), ("x", 5, 6, "people burping")]
    write("ovave_dataset_meta.csv", "split,cls_name,cls_type,vid_name\ntrain,people burping,close,x\ntest,z,open,y\n")
    assert read_annotations(path).split_of() == {"x": "train", "y": "test"}
    assert read_annotations(path.parent).split_of() == {"x": "train", "y": "test"}
    content["x"]["label"] = "__import__('os')"
    with pytest.raises(AnnotationsError, match="video x: it has no 'label' of zeros and ones, one a second"):
        read_annotations(write("anno.json", json.dumps(content)))


BORIS = (
    "Observation id,Observation date,Media file name,Subject,Behavior,Behavior type,Time\n"
    "o1,2026-01-01,clips/dog.mp4,rex,bark,START,1.0\n"
    "o1,2026-01-01,clips/dog.mp4,rex,sniff,POINT,1.2\n"
    "o1,2026-01-01,clips/dog.mp4,rex,bark,STOP,2.5\n"
)


def test_boris_tabular_events(write):
    found = read_annotations(write("boris.csv", "Observation id,o1\n\n" + BORIS))
    assert spans(found) == [("dog.mp4", 1, 2.5, "bark")]
    assert "left out: 1 label at points in time" in found.warnings[0]
    with pytest.raises(AnnotationsError, match="line 4: 'bark' of dog.mp4 starts but never stops"):
        read_annotations(
            write(
                "boris.csv",
                BORIS.replace("o1,2026-01-01,clips/dog.mp4,rex,bark,STOP,2.5\n", "o1,,clips/dog.mp4,b,c,POINT,1\n"),
            )
        )
    with pytest.raises(AnnotationsError, match="line 2: 'bark' stops at 1 s without having started"):
        read_annotations(write("boris.csv", BORIS.replace("START", "STOP")))
    with pytest.raises(AnnotationsError, match="line 2: unknown type 'BEGIN'. Types are START, STOP and POINT."):
        read_annotations(write("boris.csv", BORIS.replace("START", "BEGIN")))
    with pytest.raises(AnnotationsError, match="has no line with the columns Behavior, Behavior type and Time, or"):
        read_annotations(write("boris.csv", "a,b\n"), "boris")


def test_via_projects(write):
    project = {
        "project": {},
        "config": {},
        "attribute": {
            "1": {"aname": "event", "options": {"0": "Bark", "1": "Meow"}},
            "2": {"aname": "free", "options": {}},
        },
        "file": {"7": {"fid": "7", "fname": "dog.mp4", "src": ""}},
        "view": {"3": {"fid_list": ["7"]}},
        "metadata": {
            "3_a": {"vid": "3", "z": [1.5, 2.5], "xy": [], "av": {"1": "0"}},
            "3_b": {"vid": "3", "z": [3, 4], "xy": [], "av": {"2": "Goat"}},
            "3_c": {"vid": "3", "z": [3], "xy": [2, 1, 1, 5, 5], "av": {"1": "1"}},
        },
    }
    path = write("via.json", json.dumps(project))
    found = read_annotations(path, tiers=["*"])
    assert spans(found) == [("dog.mp4", 1.5, 2.5, "Bark"), ("dog.mp4", 3, 4, "Goat")]
    assert found.warnings == (f"{path}: left out: 1 region without start and end",)
    project["metadata"]["3_a"]["vid"] = "9"
    with pytest.raises(AnnotationsError, match="metadata 3_a: it is of no file of the project"):
        read_annotations(write("via.json", json.dumps(project)))
    with pytest.raises(AnnotationsError, match="is no project of VIA 3"):
        read_annotations(write("via.json", "[]"), "via")


CVAT = """<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>
<meta><task><start_frame>0</start_frame><source>dog.mp4</source></task></meta>
<track id="0" label="Bark"><box frame="25" outside="0"/><box frame="30" outside="0"/><box frame="50" outside="1"/>
<box frame="75" outside="0"/><box frame="99" outside="0"/></track></annotations>"""


def test_cvat_tracks(write):
    path = write("cvat.xml", CVAT)
    assert spans(read_annotations(path, frames_per_second=25)) == [("dog.mp4", 1, 2, "Bark"), ("dog.mp4", 3, 4, "Bark")]
    with pytest.raises(AnnotationsError, match="its tracks count frames. Give frames_per_second"):
        read_annotations(path)
    with pytest.raises(AnnotationsError, match="holds no tracks"):
        read_annotations(write("cvat.xml", "<annotations/>"), frames_per_second=25)


def test_a_result_of_avel_says_what_it_is(result, write):
    with pytest.raises(AnnotationsError, match="x.json: is a result of avel and not labels. Write it as csv, elan or"):
        read_annotations(write("x.json", result.to_json()))
    with pytest.raises(
        AnnotationsError, match="1 task holds predictions, and none an annotation. Accept or correct them in"
    ):
        read_annotations(write("x.label-studio.json", label_studio.text(result)))
