"""Validation and encoding of targets, shared by all estimators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import assert_all_finite
from sklearn.utils._array_api import _max_precision_float_dtype, get_namespace_and_device, move_to
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    _num_samples,
    check_array,
    check_consistent_length,
    column_or_1d,
)
from skorch.helper import SliceDataset

from sk_mige._arrays import as_array, check_labels, check_no_dates, check_numbers, readable
from sk_mige._warnings import warn_user
from sk_mige.score.outliers import warn_of_outliers

# Largest weight of a class. Squares of gradients must neither overflow nor vanish in float32.
LARGEST_WEIGHT = 1e9


def as_numpy(y: Any, name: str = "y") -> Any:
    """Convert arrays, tensors and ``SliceDataset`` to NumPy, and return other targets unchanged."""
    if isinstance(y, SliceDataset):
        return np.asarray(y)
    y = readable(y, name)
    return move_to(y, xp=np, device="cpu") if hasattr(y, "__array_namespace__") else y


def check_targets(estimator: Any, X: Any, y: Any, task: str) -> NDArray[Any]:
    """Return validated targets: labels (n,), or float64 values (n,) or (n, t)."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None: pass "
            "labels or values"
        )
    y = as_numpy(y)
    check_labels(y, "y")
    if task == "classification":
        return _check_class_labels(estimator, X, y)
    check_no_dates(y, "y")
    options: dict[str, Any] = {"ensure_2d": False, "allow_nd": True, "input_name": "y"}
    try:
        values: NDArray[Any] = check_array(y, dtype=np.float64, estimator=estimator, **options)
    except (OverflowError, TypeError, ValueError) as error:
        check_numbers(y, "y", error)
        raise
    check_consistent_length(X, values)
    if values.ndim > 2:
        raise ValueError(f"y must have shape (n,) or (n, n_targets), got {values.shape}")
    return values


def _check_class_labels(estimator: Any, X: Any, y: Any) -> NDArray[Any]:
    """Return validated labels (n,)."""
    shape = np.asarray(y).shape
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y has the shape {shape}, but classification takes one label for each row: pass "
            "y.argmax(axis=1) if the columns of y are indicators of the classes"
        )
    y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    if y.dtype.kind == "f":  # infinity is not a class label
        assert_all_finite(y, input_name="y")
    with np.errstate(invalid="ignore"):  # scikit-learn converts large floats to integers
        kind = type_of_target(y, input_name="y")
    if kind.startswith("continuous"):
        instead = "bin the values"
        if hasattr(estimator, "mode"):
            instead += ", or set mode=InformationBottleneck(task='regression')"
        raise ValueError(
            "Unknown label type: continuous. y holds real numbers, not class labels: " + instead
        )
    if kind == "unknown":
        raise ValueError(
            f"Unknown label type: y holds {type(y[0]).__name__} objects. "
            "Pass strings, such as np.asarray(y).astype(str)"
        )
    return np.asarray(y)


def numeric_targets(y: Any, n_rows: int) -> NDArray[Any]:
    """Return validated targets of a custom loss in int64 or float32, one row per row of X."""
    values = np.asarray(as_numpy(y))
    if values.dtype.kind == "O":  # numbers in a column of objects
        values = np.asarray(values.tolist())
    shape = values.shape
    if values.dtype.kind not in "biuf" or shape[:1] != (n_rows,) or 0 in shape:
        raise ValueError(
            f"mode is a loss function, so y must hold numbers in {n_rows} rows. Got shape {shape} "
            f"and dtype {values.dtype}. Encode labels by "
            "sklearn.preprocessing.LabelEncoder"
        )
    if values.dtype.kind == "f" and not (abs(values) <= np.finfo(np.float32).max).all():
        raise ValueError(
            "y contains NaN, infinity, or a value too large for dtype('float32') of the networks. "
            "Drop the rows that lack a target, and divide large targets by a constant"
        )
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int64)


def class_indices(y: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the index of each label in ``classes``."""
    unseen = np.setdiff1d(y, classes)
    if unseen.size:
        raise ValueError(
            f"y contains classes that fit did not receive: {unseen.tolist()}; the known classes "
            f"are {classes.tolist()}. Pass all classes to the first partial_fit(..., classes=...), "
            "or call fit with warm_start=False"
        )
    return np.searchsorted(classes, y).astype(np.int64)


def split_rows(
    user: str,
    n_rows: int,
    fraction: float,
    seed: int,
    labels: NDArray[np.int64] | None = None,
    classes: NDArray[Any] | None = None,
) -> list[list[int]]:
    """Return the indices of training rows and of held-out rows, drawn at random.

    With ``labels``, the split is stratified by class. Error messages begin with ``user``, such as
    the name of a parameter.
    """
    n_test = math.ceil(fraction * n_rows)
    smaller = min(n_test, n_rows - n_test)
    if n_rows - n_test < 2:
        raise ValueError(
            f"{user} leaves fewer than two of {n_rows} rows for training: hold out fewer rows"
        )
    if labels is not None and classes is not None:
        lone = classes[np.bincount(labels, minlength=len(classes)) == 1]
        if lone.size:
            raise ValueError(
                f"{user} needs at least two rows of every class, but y has a single row of "
                f"{lone.tolist()!s:.80}: drop these rows"
            )
        if smaller < len(classes):
            raise ValueError(
                f"{user} splits {n_rows} rows by class, but the smaller part has {smaller} rows "
                f"for {len(classes)} classes: pass more rows"
            )
    rows = np.arange(n_rows)
    parts = train_test_split(rows, test_size=fraction, random_state=seed, stratify=labels)
    return [part.tolist() for part in parts]


def find_classes(
    y: NDArray[Any],
    classes: Any = None,
    known: NDArray[Any] | None = None,
    *,
    stream: bool = False,
) -> NDArray[Any]:
    """Return the sorted class labels for ``fit`` or for one call of ``partial_fit``.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels.
    classes : array-like, default=None
        All possible labels, as given by the user.
    known : ndarray, default=None
        Sorted labels of an earlier call, if any.
    stream : bool, default=False
        Whether y is one part of a stream. For a stream, the first call requires ``classes``.
    """
    if classes is not None:
        classes = as_array(classes, "classes")
        check_labels(classes, "classes")
    if known is not None:
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(
                f"classes={classes.tolist()} differs from the classes of the earlier calls, "
                f"{known.tolist()}: pass the same classes, or None"
            )
        return known
    if stream and classes is None:
        raise ValueError(
            "classes must be passed on the first call to partial_fit: pass an array of all labels "
            "that can occur in any call"
        )
    name, given = ("y", y) if classes is None else ("classes", classes)
    found: NDArray[Any] = np.unique(given)
    if len(found) < 2:
        raise ValueError(
            f"classification needs at least two classes, but {name} has {len(found)}: "
            f"{found.tolist()}; add another class"
        )
    return found


def warn_of_many_classes(y: NDArray[Any]) -> None:
    """Warn if the class labels look like the targets of a regression."""
    n_classes = len(np.unique(y))
    if y.dtype.kind in "iuf" and n_classes > 20 and len(y) < 5 * n_classes:
        warn_user(
            f"each distinct integer of y is a class: {n_classes} classes in {len(y)} rows. For "
            "regression, set mode=InformationBottleneck(task='regression'). For classification, "
            "pass strings as labels to avoid this warning"
        )


def class_weights(
    weight: Any, classes: NDArray[Any], y: NDArray[Any], *, stream: bool
) -> NDArray[np.float32] | None:
    """Return the weight of each class, or None for equal weights."""
    if weight is None:
        return None
    if stream and isinstance(weight, str):
        raise ValueError(
            f"class_weight={weight!r} needs all of y at once, but partial_fit gets a part of y: "
            "pass the weights as a dict {class: weight}"
        )
    try:
        weights = compute_class_weight(weight, classes=classes, y=y)
    except (TypeError, ValueError) as error:
        known = classes.tolist()
        unknown = [key for key in weight if key not in known] if isinstance(weight, dict) else []
        reason = f"{unknown} are not among the classes of y, {known!s:.80}" if unknown else error
        raise ValueError(f"class_weight={weight!r:.80} is invalid: {reason}") from error
    valid = (weights > 1 / LARGEST_WEIGHT) & (weights < LARGEST_WEIGHT)
    if not valid.all():
        raise ValueError(
            f"class_weight must hold positive numbers from {1 / LARGEST_WEIGHT:.0e} to "
            f"{LARGEST_WEIGHT:.0e}, got {float(weights[~valid][0])} for class "
            f"{classes[~valid][0]}: to ignore a class, drop its rows"
        )
    return np.asarray(weights, dtype=np.float32)


def encode_labels(
    y: NDArray[Any],
    classes: Any,
    known: NDArray[Any] | None,
    weight: Any,
    *,
    stream: bool,
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float32] | None]:
    """Return the sorted class labels, the class index of each row, and the class weights."""
    found = find_classes(y, classes, known, stream=stream)
    if known is None and classes is None:
        warn_of_many_classes(y)
    return found, class_indices(y, found), class_weights(weight, found, y, stream=stream)


def check_weights(weight: Any, y: Any) -> NDArray[Any] | None:
    """Return validated weights of the rows, which must be finite and at least 0, or None."""
    if weight is None:
        return None
    rows = np.empty(_num_samples(y))
    weight = readable(weight, "sample_weight")
    return np.asarray(_check_sample_weight(weight, rows, ensure_non_negative=True))


class TargetScaler:
    """Standardisation of regression targets, and the inverse transformation.

    A target that is constant in the training rows has the variance 0 in ``scaler``. The prediction
    of such a target is the constant.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, t)
        Targets from which mean and variance are computed.
    dtype : dtype
        Data type of the targets that the user passed. Predictions are float32 if the targets are
        float32, else float64.
    """

    def __init__(self, y: NDArray[Any], dtype: Any) -> None:
        self.flat = y.ndim == 1
        self.dtype = "float32" if dtype == np.float32 else "float64"
        columns = y.reshape(len(y), -1)
        warn_of_outliers(torch.from_numpy(columns.copy()), "y's column")  # y can be read-only
        # Division by powers of two is exact, and keeps variances of large targets finite.
        self.units = np.ldexp(1.0, np.frexp(np.abs(columns).max(axis=0))[1] - 1)
        units = columns / self.units
        self.scaler = StandardScaler().fit(units)
        # The mean of equal numbers can differ from the numbers by rounding.
        self.scaler.mean_ = np.clip(self.scaler.mean_, units.min(axis=0), units.max(axis=0))
        self.scaler.var_ = np.zeros_like(self.scaler.scale_)

    def training_values(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return scaled training targets (n, t), and store which targets vary."""
        values = self.transform(y)
        # A target that is constant in the first rows is 0. A later batch can contain another value.
        self.scaler.var_ = np.where(values.any(axis=0), self.scaler.scale_**2, self.scaler.var_)
        return values

    def transform(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return scaled targets (n, t)."""
        columns = y.reshape(len(y), -1)
        if columns.shape[1] != self.scaler.n_features_in_:
            raise ValueError(
                f"y has {columns.shape[1]} targets, but fit received {self.scaler.n_features_in_}: "
                "pass the same targets as in fit"
            )
        return self.scaler.transform(columns / self.units)

    def r2(self, y: NDArray[Any], values: NDArray[np.float64], weight: Any = None) -> float:
        """Return R² of standardised predictions (n, t), without overflow for any targets."""
        truth = self.transform(y)
        unit = np.maximum(np.abs(truth).max(axis=0), 1)  # squares of the ratio are finite
        return float(r2_score(truth / unit, self._exact(values) / unit, sample_weight=weight))

    def inverse(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Convert scaled values (n, t) to the units of the targets, in float64."""
        scaled = self.scaler.inverse_transform(self._exact(values))
        restored: NDArray[np.float64] = self.units * scaled
        return restored[:, 0] if self.flat else restored

    def _exact(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Replace the predictions of constant targets by 0, the scaled constant."""
        return np.where(self.scaler.var_ > 0, values, 0.0)

    def like_targets(self, values: NDArray[np.float64], X: Any) -> Any:
        """Convert values to the dtype of the targets, and to the namespace and device of X."""
        xp, _, device = get_namespace_and_device(X)
        dtype = self.dtype
        if _max_precision_float_dtype(xp, device) == xp.float32:  # such as Apple's GPUs
            dtype = "float32"
        return xp.asarray(values.astype(dtype), device=device)
