"""Leave-one-out predictions of targets that do not vary."""

from __future__ import annotations

import torch

from sk_mige.information.prediction import leave_one_out_predictions


def test_constant_squares_are_no_predictions():
    x = torch.randn(60, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # The mean of the squares of the second column has a rounding error.
    for size in (1.0, 0.6744897501960817):
        y = torch.where(x[:, :60].sum(1, keepdim=True) > 0, size, -size).double()
        found = leave_one_out_predictions(x, y)
        assert found.columns.shape == (60, 1)
        assert (found.columns * y).mean() > 0.1 * size
