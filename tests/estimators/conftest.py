"""Fixtures of the estimators' tests: a small encoder, its data, and Ctrl-C at a given step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sk_mige import MIGEEncoder
from sk_mige.training.net import EncoderNet

SMALL: dict[str, Any] = {
    "n_components": 3,
    "hidden_layer_sizes": (16,),
    "max_epochs": 3,
    "batch_size": 64,
    "device": "cpu",
    "random_state": 0,
}


def small(mode: Any = "infomax", **parameters: Any) -> MIGEEncoder:
    """Return an encoder with the SMALL settings that are compatible with its parameters."""
    settings = dict(SMALL)
    if parameters.get("encoder", "mlp") != "mlp":
        del settings["hidden_layer_sizes"]
    return MIGEEncoder(mode=mode, **{**settings, **parameters})


@pytest.fixture(scope="session")
def X() -> np.ndarray:
    """Return 150 rows of 8 independent features."""
    return np.random.default_rng(0).normal(size=(150, 8))


@pytest.fixture(scope="session")
def y(X: np.ndarray) -> np.ndarray:
    """Return the class of each row of X, the sign of its first feature."""
    return (X[:, 0] > 0).astype(int)


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits with pixels in [0, 1], and their classes."""
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt training at the nth step, counted over all epochs from 1."""
    original, steps = EncoderNet.train_step_single, iter(range(1, step + 1))

    def interrupted(net: EncoderNet, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if next(steps) == step:
            raise KeyboardInterrupt
        return original(net, *args, **kwargs)

    monkeypatch.setattr(EncoderNet, "train_step_single", interrupted)
