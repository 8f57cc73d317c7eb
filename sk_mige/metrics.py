"""Metrics of representations, and of predicted probabilities.

``representation_score`` evaluates a transformer without labels. The other functions measure
calibration and selective prediction. These functions take true labels and the probabilities that
any classifier predicts. With the same arguments, ``sklearn.metrics.log_loss`` returns the mean
negative log-likelihood. ``sklearn.metrics.roc_auc_score`` measures how well a novelty score
separates known from novel rows.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sk_mige.information.copies import information_of_copies

from ._arrays import check_labels, check_numbers, float_array, like_frame, readable
from ._contexts import on_cpu

__all__ = [
    "expected_calibration_error",
    "representation_score",
    "risk_coverage_curve",
    "top_predictions",
]

# Largest deviation of a sum of probabilities from 1. Rounding to bfloat16 changes each probability,
# and therefore the sum, by a fraction of at most 2⁻⁸.
ROUNDING = 2.0**-8


def top_predictions(
    y_true: ArrayLike, y_proba: ArrayLike, *, labels: ArrayLike | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return whether the prediction of each row is correct, and the probability of the prediction.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True classes, all of which are in ``labels``.
    y_proba : array-like of shape (n, n_classes)
        Predicted probabilities, as from ``predict_proba``. The sum of each row is 1.
    labels : array-like of shape (n_classes,), default=None
        Class of each column, such as ``classes_`` of the classifier. By default, the classes are
        the sorted values of ``y_true``. The number of classes must equal the number of columns.

    Returns
    -------
    correct : ndarray of bool, shape (n,)
        Whether the most probable class is the true class. If several classes have the largest
        probability, the first class with this probability is the prediction.
    confidence : ndarray of shape (n,)
        Largest probability of each row, from 0 to 1.

    Raises
    ------
    ValueError
        If the numbers of rows or classes differ, or ``y_true`` has a class that is not in
        ``labels``. The error is also raised for missing labels, and if a row of ``y_proba`` has a
        negative value or a sum other than 1.

    Examples
    --------
    >>> from sk_mige.metrics import top_predictions
    >>> top_predictions(["a", "b"], [[0.9, 0.1], [0.6, 0.4]])
    (array([ True, False]), array([0.9, 0.6]))
    """
    proba = _probabilities(y_proba)
    target = _labels(y_true, "y_true")
    check_consistent_length(target, proba)
    classes = np.unique(target) if labels is None else _labels(labels, "labels")
    if len(np.unique(classes)) < len(classes):
        raise ValueError(f"labels must be distinct, one for each column, got {classes!s:.80}")
    if len(classes) != proba.shape[1]:
        raise ValueError(
            f"y_proba has {proba.shape[1]} columns for {len(classes)} classes, {classes!s:.80}: "
            "pass labels=classifier.classes_"
        )
    unknown = set(target.tolist()) - set(classes.tolist())
    if unknown:
        raise ValueError(
            f"y_true has the classes {sorted(unknown, key=str)!s:.80}, which are not in the labels "
            f"{classes!s:.80}: drop the rows of other classes"
        )
    return classes[proba.argmax(1)] == target, proba.max(1)


def _probabilities(y_proba: ArrayLike) -> NDArray[np.float64]:
    """Return checked probabilities (n, n_classes), divided by the sum of their row."""
    proba = float_array(y_proba, "y_proba")
    if proba.ndim != 2 or not proba.size:
        raise ValueError(
            f"y_proba must have the shape (n, n_classes), got {proba.shape}: pass the result of "
            "predict_proba, or np.c_[1 - p, p] for probabilities p of the second class"
        )
    sums = proba.sum(1, keepdims=True)
    wrong = (proba < 0).any(1) | (np.abs(sums[:, 0] - 1) > ROUNDING)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            "y_proba must hold probabilities, whose sum is 1 in each row, got "
            f"{proba[row].tolist()!s:.80} in row {row}: pass the result of predict_proba"
        )
    return proba / sums  # the sum of rounded probabilities can exceed 1


def _labels(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return labels as an array (n,), after a check that no label is missing."""
    values = readable(values, name)
    shape = np.shape(values)
    if len(shape) != 1 and shape[1:] != (1,):
        raise ValueError(
            f"{name} must be a sequence of labels, one for each row, got the shape {shape}: pass "
            f"{name}.argmax(axis=1) for indicators of the classes"
        )
    check_labels(values, name)
    return column_or_1d(values, input_name=name)


@validate_params(
    {
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "strategy": [StrOptions({"quantile", "uniform"})],
    },
    prefer_skip_nested_validation=True,
)
def expected_calibration_error(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    n_bins: int = 15,
    strategy: str = "quantile",
) -> float:
    r"""Return the mean absolute difference between confidence and accuracy over bins of confidence.

    The confidence of a row is the largest predicted probability. Bin b contains :math:`n_b` of the
    n rows:

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n}\,
              \big|\mathrm{accuracy}_b - \mathrm{confidence}_b\big| .

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True classes.
    y_proba : array-like of shape (n, n_classes)
        Predicted probabilities, as from ``predict_proba``. The sum of each row is 1.
    labels : array-like of shape (n_classes,), default=None
        Class of each column, such as ``classes_`` of the classifier. By default, the classes are
        the sorted values of ``y_true``. The number of classes must equal the number of columns.
    n_bins : int, default=15
        Number of bins. Published results use 10 to 20 bins.
    strategy : {"quantile", "uniform"}, default="quantile"
        Rule for the edges of the bins. With "quantile", bins have equal numbers of rows, except
        that rows with equal confidence are in the same bin. With "uniform", bins have equal widths
        between 0 and 1. The last bin contains most rows if the classifier is confident.

    Returns
    -------
    float
        Calibration error, from 0 to 1.

    Notes
    -----
    Sampling noise within bins biases the estimate upwards. With B bins and an accuracy a, a
    calibrated classifier has a calibration error of the order of :math:`\sqrt{a (1 - a) B / n}`.
    Compare classifiers on the same number of rows.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks",
    ICML 2017.

    Examples
    --------
    Seven of ten predictions with a confidence of 0.9 are correct:

    >>> from sk_mige.metrics import expected_calibration_error
    >>> y = [1] * 7 + [0] * 3
    >>> round(expected_calibration_error(y, [[0.1, 0.9]] * 10), 6)
    0.2
    """
    correct, confidence = top_predictions(y_true, y_proba, labels=labels)
    edges = np.linspace(0, 1, int(n_bins) + 1)
    edges = np.quantile(confidence, edges) if strategy == "quantile" else edges
    member = np.searchsorted(edges[1:-1], confidence)
    gaps = np.bincount(member, weights=correct - confidence, minlength=int(n_bins))
    return float(np.abs(gaps).sum() / len(confidence))


def risk_coverage_curve(
    y_true: ArrayLike, y_proba: ArrayLike, *, labels: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return the error of the most confident predictions as a function of coverage.

    The confidence of a row is the largest predicted probability. A selective classifier predicts
    the k rows with the largest confidence. The fraction k/n of predicted rows is the coverage. The
    fraction of wrong predictions among the predicted rows is the risk:

    .. math:: \mathrm{risk}(k/n) = \frac1k \sum_{i \le k} [\hat y_i \ne y_i] .

    The mean of the risks over all k, ``risk.mean()``, is the area under the curve (AURC).

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True classes.
    y_proba : array-like of shape (n, n_classes)
        Predicted probabilities, as from ``predict_proba``. The sum of each row is 1.
    labels : array-like of shape (n_classes,), default=None
        Class of each column, such as ``classes_`` of the classifier. By default, the classes are
        the sorted values of ``y_true``. The number of classes must equal the number of columns.

    Returns
    -------
    coverage : ndarray of shape (n,)
        Fractions of rows that are predicted: 1/n, 2/n, …, 1.
    risk : ndarray of shape (n,)
        Fraction of wrong predictions among the predicted rows. The last value is the error of all
        rows. Errors of rows with the same confidence are replaced by their mean, so the order of
        the rows has no effect.

    References
    ----------
    Y. Geifman, R. El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017.

    Examples
    --------
    The least confident of four predictions is wrong:

    >>> from sk_mige.metrics import risk_coverage_curve
    >>> proba = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]]
    >>> coverage, risk = risk_coverage_curve([0, 1, 0, 1], proba)
    >>> coverage, risk
    (array([0.25, 0.5 , 0.75, 1.  ]), array([0.  , 0.  , 0.  , 0.25]))
    >>> float(risk.mean())
    0.0625
    """
    correct, confidence = top_predictions(y_true, y_proba, labels=labels)
    _, group, counts = np.unique(-confidence, return_inverse=True, return_counts=True)
    error = np.bincount(group, weights=~correct) / counts  # mean of rows of equal confidence
    covered = np.arange(1, len(correct) + 1)
    return covered / len(correct), np.repeat(error, counts).cumsum() / covered


@on_cpu()
def representation_score(estimator: Any, X: Any, y: Any = None, *, shuffled: bool = False) -> float:
    r"""Return the information in the representations of a fitted transformer, in nats.

    The score needs no labels. In two incomplete copies of each row, the column mean replaces each
    value with probability ½. The score is the mutual information between the representations of the
    two copies, under a Gaussian model. A higher score is better. The function is a scorer
    of scikit-learn: ``GridSearchCV(transformer, grid, scoring=representation_score).fit(X)``
    needs no labels.

    Compare scores on the same rows, and for the same number of components. Scores of different
    kinds of transformers are less reliable than scores of one kind with different parameters. For
    InfoMax and the default ``output``, ``MIGEEncoder.score(X)`` is the same score up to rounding
    errors.

    Parameters
    ----------
    estimator : transformer
        Fitted transformer of dense rows, such as ``PCA``, ``MIGEEncoder``, a pipeline that ends in
        a transformer, or a search over transformers. Only ``transform`` is used.
    X : array-like or data frame of shape (n_samples, n_features) or (n_samples, ...)
        Finite input of ``transform``, usually held out, with at least four rows. At least two
        columns must vary.
    y : None
        Not used, present for API consistency.
    shuffled : bool, default=False
        If True, each copy is compared with a copy of another row. The result is a reference value:
        the score of representations without information about the row.

    Returns
    -------
    float
        Mutual information in nats, at least 0. Constant representations have the score 0.

    Raises
    ------
    TypeError
        If the estimator has no ``transform``, or if X or the representations are sparse.
    ValueError
        If X has fewer than four rows, fewer than two columns that vary, or values that are not
        finite numbers. The error is also raised for representations that are not finite or have
        another number of rows.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Notes
    -----
    A value is in both copies with probability ¼. The score therefore measures both the preserved
    values and the preserved relations between columns. For independent columns, each canonical
    correlation between the representations of the copies is at most ½, for every transformer. For
    many held-out rows, the score of K components is then at most
    :math:`\tfrac{K}{2} \log \tfrac43`, or 0.144 nats for each component. A higher score shows that
    columns are related.

    Let λ be the variance of standardised columns along a direction. Along this direction, the
    correlation between the copies is λ / (1 + λ). For independent columns, λ is 1. Among linear
    transformers with K components, PCA of standardised columns therefore has the highest score for
    many rows.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.random_projection import GaussianRandomProjection
    >>> from sk_mige.metrics import representation_score
    >>> X, _ = load_digits(return_X_y=True)
    >>> pca = PCA(16).fit(X[:1000])
    >>> projection = GaussianRandomProjection(16, random_state=0).fit(X[:1000])
    >>> bool(representation_score(pca, X[1000:]) > representation_score(projection, X[1000:]))
    True
    """
    if not hasattr(estimator, "transform"):
        raise TypeError(
            f"estimator must be a fitted transformer, got {type(estimator).__name__}, which has no "
            "transform. For a pipeline that ends in a predictor, pass pipeline[:-1]. For a search, "
            "set refit=True"
        )
    check_is_fitted(estimator)
    rows = _numbers(X)

    def encode(copies: Tensor) -> Tensor:
        values = copies.numpy().reshape(-1, *rows.shape[1:])
        return torch.tensor(
            _representations(estimator.transform(like_frame(values, X)), len(values))
        )

    copied = torch.tensor(rows.reshape(len(rows), -1))
    return information_of_copies(encode, [copied], len(rows), shuffled=shuffled)


def _numbers(X: Any) -> NDArray[Any]:
    """Return X as a dense array of at least two dimensions, in which two columns vary."""
    X = readable(X, "X")
    try:
        rows: NDArray[Any] = check_array(
            X, dtype=[np.float64, np.float32], ensure_2d=False, allow_nd=True, input_name="X"
        )
    except (TypeError, ValueError) as error:
        check_numbers(X, "X", error)
        if "contains NaN" in str(error):
            error.add_note(
                "Impute the missing values of X, and pass a pipeline without the imputer"
            )
        raise
    if rows.ndim < 2:
        raise ValueError(
            f"X must have the shape (n_samples, n_features), got {rows.shape}: pass one row for "
            "each sample"
        )
    varying = int((rows.max(0) > rows.min(0)).sum())
    if varying < 2:
        raise ValueError(
            f"X has {varying} columns that vary, but the score compares the information in "
            "different columns: pass rows with at least two columns that vary"
        )
    return rows


def _representations(Z: Any, n: int) -> NDArray[np.float64]:
    """Return the output of transform as a finite array of n rows."""
    name = "the output of transform"
    values: NDArray[np.float64] = check_array(
        readable(Z, name), dtype=np.float64, ensure_min_samples=0, input_name=name
    )
    if len(values) != n:
        raise ValueError(
            f"{name} has {len(values)} rows for {n} rows of X: pass a transformer that returns one "
            "row for each row of X"
        )
    return values
