from dataclasses import replace

from hand_made_results import make_result

from avel.events import Segment, Validity
from avel.outputs.explanation import AT_MOST, Peak, explanation


def segment(number, heard=None, seen=None, both=None, valid=True):
    """A second, with scores by category."""
    scores = {"audio_scores": heard or {}, "visual_scores": seen or {}, "scores": both or {}}
    return Segment(number, number + 1, "background", 0.9, **scores, valid=Validity(valid, valid))


def explained(*segments, **settings):
    result = make_result(duration_seconds=len(segments), events=[], **settings)
    model = {**result.model, "categories": ["Dog"] * 12, "cannot_see": ["Helicopter"], "cannot_hear": ["Moon"]}
    return explanation(replace(result, segments=segments, model=model))


def why(found):
    return {row.category: row.why for row in found.categories}


def test_each_category_has_its_best_moments_and_a_reason():
    found = explained(
        segment(0, {"Dog": 0.4, "Helicopter": 0.7, "Bark": 0.6}, {"Cat": 0.8, "Moon": 0.9}),
        segment(1, {"Dog": 0.6, "Bark": 0.1}, {"Dog": 0.3, "Bark": 0.7}, {"Dog": 0.4, "Wind": 0.6}),
        segment(2, {"Rain": 0.2}, {"Rain": 0.3, "Goat": 0.05}),
    )
    assert why(found) == {
        "Helicopter": "nothing to see it by",
        "Dog": "not seen",
        "Bark": "not at once",
        "Wind": "too short, or left out",
        "Rain": "neither clearly",
        "Moon": "nothing to hear it by",
        "Cat": "not heard",
    }
    (dog,) = (row for row in found.categories if row.category == "Dog")
    assert (dog.heard, dog.seen, dog.both) == (Peak(0.6, 1), Peak(0.3, 1), Peak(0.4, 1))
    assert found.categories[0].category == "Helicopter"


def test_events_come_first():
    found = explanation(make_result())
    assert [(row.category, row.events, row.why) for row in found.categories] == [
        ("Bark", 1, "found"),
        ("Goat", 1, "found"),
        ("Cat", 0, "neither clearly"),
    ]


def test_only_the_nearest_are_told():
    found = explained(segment(0, {f"category {n}": 0.2 + n / 100 for n in range(20)}))
    assert len(found.categories) == AT_MOST
    assert found.categories[0].category == "category 19"


def test_what_concerns_the_whole_video():
    found = explained(segment(0, valid=False), segment(1, {"Dog": 0.05}))
    assert found.categories == ()
    assert found.facts[0] == "Sound could be read in 1 of 2 segments, the picture in 1."
    assert found.facts[-1] == "No category has a score of 0.1 anywhere; 12 categories were looked for."
    chosen = replace(make_result(), model={"selection": {"modality": "audio", "min_score": 0.0}})
    assert "left out or joined as was asked for: modality audio." in explanation(chosen).facts[-1]


def test_a_model_that_does_not_say_what_it_heard():
    result = make_result(events=[("Bark", 0.0, 2.0, "audio-visual", 0.9)])
    segments = [replace(s, audio_scores=None, visual_scores=None, scores={"Bark": 0.9}) for s in result.segments]
    found = explanation(replace(result, segments=tuple(segments), model={"name": "psp"}))
    assert [(row.heard, row.seen, row.both) for row in found.categories] == [(None, None, Peak(0.9, 0))]
    assert len(found.facts) == 2
