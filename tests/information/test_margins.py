"""Maps of margins towards the normal distribution, whatever the numbers come as."""

from __future__ import annotations

import pytest
import torch

from sk_mige.information import gaussianize_margins, gaussianize_ranks


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_integers_are_mapped_to_floats(dtype):
    z = torch.arange(40).flip(0)[:, None].to(dtype)
    for mapped, expected in (
        (gaussianize_ranks(z), gaussianize_ranks(z.float())),
        *zip(gaussianize_margins(z), gaussianize_margins(z.float()), strict=True),
    ):
        assert mapped.dtype == torch.get_default_dtype()
        torch.testing.assert_close(mapped, expected)


def test_ranks_of_integers_beyond_float32_are_told_apart():
    z = torch.tensor([[2**40 + 1], [2**40], [2**40 + 2]])
    torch.testing.assert_close(gaussianize_ranks(z), gaussianize_ranks(z - 2**40))
