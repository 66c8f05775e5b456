from dataclasses import replace

import pytest

from avel.errors import FeaturesError
from avel.training.features import FeatureRecord, check_same

TRAINED = FeatureRecord(
    49,
    512,
    128,
    visual=("vgg19",),
    audio=("vggish",),
    networks={"vgg19": {"sha256": "aa"}, "vggish": {"sha256": "bb"}},
    recipe={"frames_per_segment": 16, "precision": "float32"},
)
BOTH = ("audio", "visual")


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        (replace(TRAINED, regions=16), "store: not the features .* trained with R = 49, these have 16"),
        (replace(TRAINED, visual_dims=1280), "D_v = 512, these have 1280"),
        (replace(TRAINED, audio_dims=1024), "D_a = 128, these have 1024"),
        (replace(TRAINED, segment_seconds=0.5), "segment seconds 1, these have 0.5"),
        (replace(TRAINED, audio=("yamnet",)), "trained on audio features of vggish, these are of yamnet"),
        (
            replace(TRAINED, networks={**TRAINED.networks, "vgg19": {"sha256": "cc"}}),
            "vgg19 has other weights or options .sha256 aa, not cc",
        ),
        (
            replace(TRAINED, recipe={"frames_per_segment": 4}),
            "frames_per_segment was 16 at training, here it is 4",
        ),
    ],
)
def test_other_features_are_refused(offered: FeatureRecord, message: str) -> None:
    with pytest.raises(FeaturesError, match=message):
        check_same(TRAINED, offered, modalities=BOTH, where="store")


def test_features_that_may_be_the_same_are_taken() -> None:
    check_same(TRAINED, TRAINED, modalities=BOTH, where="store")
    check_same(TRAINED, FeatureRecord(49, 512, 128), modalities=BOTH, where="store")  # AVE's files do not say more
    check_same(TRAINED, replace(TRAINED, recipe={**TRAINED.recipe, "precision": "int8"}), modalities=BOTH, where="s")
    other_pictures = replace(TRAINED, visual=("efficientnet-lite0",))
    check_same(TRAINED, other_pictures, modalities=("audio",), where="store")


def test_records_are_read_back() -> None:
    assert FeatureRecord.from_dict(TRAINED.to_dict()) == TRAINED
    with pytest.raises(ValueError, match="not a record of features"):
        FeatureRecord.from_dict({**TRAINED.to_dict(), "visual": "vgg19"})
