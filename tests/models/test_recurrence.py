import pytest
import torch
from torch import nn

from avel.models.recurrence import scan


def lstm_and_its_cells(input_dims, hidden_dims):
    lstm = nn.LSTM(input_dims, hidden_dims, batch_first=True, bidirectional=True)
    cells = [nn.LSTMCell(input_dims, hidden_dims) for _ in range(2)]
    for cell, ending in zip(cells, ("_l0", "_l0_reverse"), strict=True):
        cell.load_state_dict({name: getattr(lstm, name + ending) for name in cell.state_dict()})
    return lstm, cells


@pytest.mark.parametrize("length", [1, 2, 6])
def test_both_ways_are_those_of_torch(length):
    lstm, cells = lstm_and_its_cells(3, 4)
    x, valid, zeros = torch.randn(2, length, 3), torch.ones(2, length, dtype=torch.bool), torch.zeros(2, 4)
    ways = [scan(cell, x, valid, (zeros, zeros), backwards=i == 1) for i, cell in enumerate(cells)]
    expected, (_, memory) = lstm(x)
    torch.testing.assert_close(torch.cat([hidden for hidden, _ in ways], dim=-1), expected)
    torch.testing.assert_close(torch.stack([ways[0][1][:, -1], ways[1][1][:, 0]]), memory)


@pytest.mark.parametrize("backwards", [False, True])
def test_padding_is_as_if_it_were_not_there(backwards):
    cell, valid = nn.LSTMCell(3, 4), torch.tensor([[True, False, True, True, False], [False] * 5])
    x, start = torch.randn(2, 5, 3), (torch.randn(2, 4), torch.randn(2, 4))
    filled = x.masked_fill(~valid[..., None], torch.nan)
    states = scan(cell, filled, valid, start, backwards=backwards)
    kept = valid[0]
    alone = scan(
        cell, x[:1, kept], torch.ones(1, 3, dtype=torch.bool), tuple(s[:1] for s in start), backwards=backwards
    )
    for found, expected, first in zip(states, alone, start, strict=True):
        torch.testing.assert_close(found[:1, kept], expected)
        torch.testing.assert_close(found[1], first[1].expand(5, -1))  # nothing happens in a video of padding


class Scan(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)

    def forward(self, x):
        zeros = x.new_zeros(len(x), 4)
        return scan(self.cell, x, torch.ones(x.shape[:2], dtype=torch.bool), (zeros, zeros))


def test_any_number_of_segments_is_refused_at_once():
    segments = ({1: torch.export.Dim("segments")},)
    with pytest.raises(ValueError, match="exported for a fixed number of them only"):
        torch.export.export(Scan(), (torch.zeros(2, 5, 3),), dynamic_shapes=segments, strict=False)
