"""One encoder in several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sk_mige import MIGEEncoder


@pytest.mark.parametrize("output", ["hidden1", "Y", None])
def test_threads_read_a_layer_each_for_its_own_rows(output: str | None) -> None:
    rng = np.random.default_rng(0)
    encoder = MIGEEncoder(
        2, hidden_layer_sizes=(64,), max_epochs=1, output=output, device="cpu", random_state=0
    ).fit(rng.normal(size=(100, 8)))
    # All of one size: only their values tell whose they are.
    parts = rng.normal(size=(8, 200, 8))
    alone = [encoder.transform(part) for part in parts]

    def agree(k: int) -> bool:
        return all(np.array_equal(encoder.transform(parts[k]), alone[k]) for _ in range(40))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(agree, range(8)))
