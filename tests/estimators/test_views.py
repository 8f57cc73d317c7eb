"""MIGEEncoder with several views of each row."""

import numpy as np
import pytest
import torch

from sk_mige import MIGEEncoder

SMALL = {
    "n_components": 2, "hidden_layer_sizes": (32,), "batch_size": 64, "lr": 1e-2,
    "random_state": 0, "output_scale": "unit",
}  # fmt: skip


@pytest.fixture
def X():
    """Two columns that matter and two that augmentation redraws, of five times the size."""
    rng = np.random.default_rng(0)
    return np.hstack([rng.normal(size=(512, 2)), 5 * rng.normal(size=(512, 2))]).astype(np.float32)


def redraw(batch):
    """Everything but the first two columns, anew."""
    return torch.cat([batch[:, :2], 5 * torch.randn(len(batch), 2)], dim=1)


def explained(Z, columns):
    """Share of the variance of Z that a linear map of the columns explains."""
    design = np.column_stack([columns, np.ones(len(Z))])
    rest = Z - design @ np.linalg.lstsq(design, Z)[0]
    return 1 - rest.var(axis=0).sum() / Z.var(axis=0).sum()


def test_two_views_teach_the_encoder_to_leave_out_what_augmentation_changes(X):
    encoder = MIGEEncoder(
        **SMALL, max_epochs=15, corruption=0.0, augmentation=redraw, n_views=2
    )  # fmt: skip
    Z = encoder.fit_transform(X)
    assert explained(Z, X[:, :2]) > 0.9
    plain = encoder.set_params(n_views=1, augmentation=None).fit_transform(X)
    assert explained(plain, X[:, :2]) < 0.5


def test_corruption_alone_makes_views_differ(X):
    Z = MIGEEncoder(**SMALL, max_epochs=2, n_views=3).fit_transform(X)
    assert Z.shape == (512, 2)
    assert np.isfinite(Z).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"corruption": 0.0}, "n_views=2 needs something in which the views differ"),
        ({"mode": "ib"}, "n_views=2 is for mode='infomax'"),
        ({"mi_estimator": "jsd"}, "n_views=2 needs mi_estimator='mige'"),
        ({"feature_layer": "hidden1"}, "no feature_layer; got .*'hidden1'"),
        ({"n_views": 0}, "'n_views' parameter"),
    ],
)
def test_views_that_cannot_be_meant_are_refused(X, parameters, message):
    encoder = MIGEEncoder(**{**SMALL, "n_views": 2, **parameters})
    with pytest.raises(ValueError, match=message):
        encoder.fit(X, np.arange(len(X)) % 2)


def test_batches_too_small_for_the_dimensions_are_warned_of(X):
    encoder = MIGEEncoder(
        **{**SMALL, "n_components": 32, "batch_size": 16}, n_views=2, max_epochs=1
    )
    with pytest.warns(UserWarning, match="batch_size of 64 or more"):
        encoder.fit(X)
