"""The study of defaults: each setting can be fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sk_mige import MIGEEncoder

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def test_every_line_of_the_study_can_be_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    from defaults import representations

    X = np.random.default_rng(0).uniform(size=(600, 70)).astype(np.float32)
    for name, before in representations(0).items():
        if isinstance(before, MIGEEncoder):
            before.set_params(max_epochs=1, hidden_layer_sizes=before.hidden_layer_sizes and (16,))
        assert len(before.fit_transform(X)) == len(X), name
