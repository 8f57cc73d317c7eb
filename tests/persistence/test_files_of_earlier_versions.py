"""Files of earlier versions: loaded estimators with unchanged results."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator

import sk_mige

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*/*.skops"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_estimator_of_a_file_computes_the_same(path: Path) -> None:
    unknown = skops.io.get_untrusted_types(file=path)
    assert all(name.startswith("sk_mige.") for name in unknown)
    estimator = skops.io.load(path, trusted=unknown)
    with np.load(path.with_name("expected.npz")) as kept:
        X = kept["X"]
        expected = {name: kept[name] for name in kept if name.partition(".")[0] == path.stem}
    assert expected
    for name, value in expected.items():
        member = getattr(estimator, name.partition(".")[2])
        found = member(X) if callable(member) else member
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
    if hasattr(estimator, "partial_fit") and hasattr(estimator, "net_"):
        targets = (X[:, 0] > 0).astype(int)
        assert estimator.partial_fit(X, targets).n_iter_ == 3
    known = type(estimator)().get_params(deep=False).keys()
    assert estimator.get_params(deep=False).keys() == known


def test_there_are_files_of_every_public_estimator() -> None:
    kept = {
        name.rpartition(".")[2]
        for path in FILES
        for name in skops.io.get_untrusted_types(file=path)
    }
    members = {name: getattr(sk_mige, name) for name in sk_mige.__all__}
    public = {
        name
        for name, member in members.items()
        if inspect.isclass(member) and issubclass(member, BaseEstimator)
    }
    assert public <= kept
