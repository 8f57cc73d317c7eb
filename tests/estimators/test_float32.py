"""Networks in float32: errors and warnings for rows that lose precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sk_mige import NonLinearProbe

from .conftest import small

ESTIMATORS = {
    "infomax": small(n_components=1, max_epochs=2),
    "ib": small("ib", n_components=1, max_epochs=2),
    "probe": NonLinearProbe(max_epochs=2, device="cpu", random_state=0),
}
estimators = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
Y = np.arange(60) % 2
# 60 consecutive times in seconds since 1970. In this range, float32 has a resolution of 128.
SECONDS = 1.7e9 + np.arange(60.0)[:, None]


@estimators
@pytest.mark.parametrize(
    "X",
    [SECONDS, SECONDS.astype(np.int64), 1e-50 * (SECONDS - 1.7e9), 1e9 + np.eye(60)],
    ids=["offset", "integers", "tiny", "columns"],
)
def test_rows_that_are_equal_in_float32_are_refused(estimator: Any, X: np.ndarray) -> None:
    said = r"equal in dtype\('float32'\).*column 0 goes from .* to .*StandardScaler"
    with pytest.raises(ValueError, match=said):
        estimator.fit(X, Y)
    make_pipeline(StandardScaler(), estimator).fit(X, Y)


@estimators
def test_a_column_that_hardly_varies_in_float32_is_warned_of(estimator: Any) -> None:
    rest = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.warns(UserWarning, match="columns 1 of X vary by less than") as record:
        estimator.fit(np.column_stack([rest[:, 0], 1e-50 * Y, rest[:, 1]]), Y)
    assert record[0].filename == __file__


@estimators
def test_columns_that_vary_in_float32_cause_no_warning(estimator: Any) -> None:
    rest = np.random.default_rng(0).normal(size=(60, 2))
    for column in (np.full(60, 3.0), 10 + Y, 1e-30 * Y, Y > 0, 100 + np.arange(60)):
        estimator.fit(np.column_stack([rest, column]), Y)


@pytest.mark.parametrize(
    ("scale", "encoder"),
    [(1e-12, "mlp"), (1.0, nn.Sequential(nn.Linear(5, 3), nn.Hardtanh(50.0, 60.0)))],
    ids=["tiny rows", "dead units"],
)
def test_a_collapsed_representation_is_warned_of(scale: float, encoder: Any) -> None:
    X = scale * np.random.default_rng(0).normal(size=(60, 5))
    model = small(encoder=encoder, max_epochs=2)
    with pytest.warns(ConvergenceWarning, match="has collapsed.*StandardScaler") as record:
        model.fit(X)
    assert record[0].filename == __file__
    assert np.isfinite(model.transform(X)).all()
    assert torch.equal(model.module_.head.alignment, torch.eye(3))


@pytest.mark.parametrize("name", ["ib", "probe"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_too_small_for_a_batch_norm_are_warned_of(name: str, dtype: type) -> None:
    X = 1e-6 * np.random.default_rng(0).normal(size=(60, 2))
    with pytest.warns(UserWarning, match="vary by at most .*e-06.* put a StandardScaler"):
        ESTIMATORS[name].fit(X.astype(dtype), Y)


@pytest.mark.parametrize("name", ["ib", "probe"])
def test_rows_too_large_for_squares_are_warned_of(name: str) -> None:
    X = 1e20 * np.random.default_rng(0).normal(size=(60, 2))
    with pytest.warns(UserWarning, match="X has values up to .*, too large for squares in float32"):
        ESTIMATORS[name].fit(X, Y)


@estimators
def test_a_code_for_missing_values_is_warned_of(estimator: Any) -> None:
    X = np.random.default_rng(0).normal(size=(60, 2))
    X[7, 1] = -9999
    with pytest.warns(UserWarning, match="of the values of X's column 1, such as -9999"):
        estimator.fit(X, Y)
