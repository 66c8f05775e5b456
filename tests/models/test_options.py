from typing import Annotated

import pytest
from pydantic import Field

from avel.models.options import Dims, Options, Share, Size
from avel.models.segmental import EdTcnOptions
from avel.models.tian2018 import AttentionOptions


class Some(Options):
    size: Size = 3
    share: Share = 0.5
    weight: Annotated[float, Field(ge=0, le=100)] = 100.0
    flag: bool = False


def test_dims_count_background():
    assert Dims(num_categories=28).num_classes == 29


@pytest.mark.parametrize("name", ["visual_dims", "regions", "audio_dims", "num_categories"])
@pytest.mark.parametrize("value", [0, -1, 10**9, 2.0, "2", True])
def test_dims_refuse_what_is_no_size(name, value):
    with pytest.raises(ValueError, match=f"size '{name}' must be a whole number from 1 to"):
        Dims(**{name: value})


def test_options_survive_being_written():
    options = AttentionOptions(attention="released", lstm_dims=8)
    assert AttentionOptions(**options.model_dump()) == options


def test_unknown_option_names_those_there_are():
    with pytest.raises(ValueError, match="no option 'depth'. The options are size, share, weight, flag"):
        Some(depth=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "option 'size' must be a whole number from 1 to 4096, got 0"),
        ({"size": True}, "option 'size' must be a whole number"),
        ({"size": 10**9}, "option 'size' must be a whole number from 1 to 4096"),
        ({"share": 1.0}, "option 'share' must be a number from 0 to below 1, got 1.0"),
        ({"share": float("nan")}, "option 'share' must be a number"),
        ({"share": "0.5"}, "option 'share' must be a number"),
        ({"weight": 100.5}, "option 'weight' must be a number from 0 to 100, got 100.5"),
        ({"weight": float("nan")}, "option 'weight' must be a number"),
        ({"flag": 1}, "option 'flag' must be true or false, got 1"),
    ],
)
def test_wrong_values(options, message):
    with pytest.raises(ValueError, match=message):
        Some(**options)


def test_wrong_word():
    with pytest.raises(ValueError, match="option 'attention' must be one of paper, released, got 'soft'"):
        AttentionOptions(attention="soft")


def test_even_kernel():
    with pytest.raises(ValueError, match="'kernel_segments' must be odd, got 4"):
        EdTcnOptions(kernel_segments=4)
