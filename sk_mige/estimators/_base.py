"""Functions shared by estimators: layer sizes, fixed parameters and tags."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import ClassifierTags, RegressorTags, Tags
from sklearn.utils._param_validation import Interval

from sk_mige import _sizes
from sk_mige.training.device import available_device, resolve_device
from sk_mige.training.targets import as_numpy, check_weights

DEFAULT_SIZES = (512, 512)  # default hidden_layer_sizes of MIGEEncoder
# Valid parameters of the training of a network.
TRAINING: dict[str, list[Any]] = {
    "max_epochs": [Interval(Integral, 1, None, closed="left")],
    "batch_size": [Interval(Integral, 2, None, closed="left")],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "device": [str, torch.device],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
}


class ProbabilisticClassifierMixin(ClassifierMixin):
    """Mixin for classifiers with ``predict_proba``, whose score is the weighted accuracy."""

    classes_: NDArray[Any]

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        indices = self._most_probable(X)
        return self.classes_[indices]

    def _most_probable(self, X: Any) -> NDArray[np.int64]:
        """Return the index of the most probable class of each row, computed in chunks of rows."""
        raise NotImplementedError

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of the predicted classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, at least 0.

        Returns
        -------
        float
            Weighted fraction of correct predictions.
        """
        y = as_numpy(y)
        return float(super().score(X, y, check_weights(sample_weight, y)))


def as_sizes(sizes: Any, encoder: Any = "mlp") -> tuple[int, ...]:
    """Return ``hidden_layer_sizes``, a number or a sequence, as a tuple of layer widths.

    Encoders other than "mlp" require the default of ``hidden_layer_sizes``.
    """
    widths = _sizes.as_sizes("hidden_layer_sizes", sizes)
    if widths != DEFAULT_SIZES and not (isinstance(encoder, str) and encoder == "mlp"):
        raise ValueError(
            f"hidden_layer_sizes={sizes!r} is for encoder='mlp', got encoder={encoder!r:.80}: keep "
            "the default; functools.partial sets the sizes of a callable encoder"
        )
    return widths


def expect_unchanged(before: dict[str, Any], now: dict[str, Any], consequence: str) -> None:
    """Raise ValueError if parameters differ from the values with which a model was fitted.

    The error lists the changed parameters with old and new values, and ends with ``consequence``.
    If ``mode`` has changed, the error lists only ``mode``. Different names of the same device count
    as equal.
    """
    if resolve_device(now["device"]) == available_device(before["device"]):
        before = {**before, "device": now["device"]}
    changes = [
        f"{name}={_short(value)} instead of {_short(before.get(name))}"
        for name, value in now.items()
        if not _is_same(value, before.get(name))
    ]
    changes = [change for change in changes if change.startswith("mode=")] or changes
    if changes:
        raise ValueError(f"{', '.join(changes)}: {consequence}")


def set_task(tags: Tags, task: str | None) -> None:
    """Set the tags of a classifier or regressor, or of an estimator without targets."""
    tags.target_tags.required = task is not None
    if task == "classification":
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
    elif task == "regression":
        tags.estimator_type = "regressor"
        tags.regressor_tags = RegressorTags()
        tags.target_tags.multi_output = True


def _is_same(value: Any, other: Any) -> bool:
    if isinstance(value, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(value, other)
    return value is other or bool(value == other)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else f"<{type(value).__name__}>"
