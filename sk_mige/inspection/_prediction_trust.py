"""PredictionTrustDisplay: calibration, selective prediction and detection of novel rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, roc_curve

from sk_mige._arrays import as_array
from sk_mige.metrics import expected_calibration_error, risk_coverage_curve, top_predictions

from ._display import Axes, Display, find_part, real_numbers

# Kinds of plots with the labels of their axes and the place of the legend. For curves of many
# points, "best" is slow.
AXES: dict[str, tuple[str, str, Any]] = {
    "reliability": ("confidence", "accuracy", "best"),
    "risk": ("coverage", "error", "upper left"),
    "novelty": ("fraction of known rows flagged", "fraction of novel rows flagged", "lower right"),
}
Pair = tuple[NDArray[Any], NDArray[Any]]


@dataclass(kw_only=True, eq=False, repr=False)
class PredictionTrustDisplay(Display):
    """Plots of the calibration, the selective risk and the novelty detection of a classifier.

    ``kind`` selects the plot:

    - "reliability" draws accuracy against confidence in 15 bins with equal numbers of rows. The
      confidence of a row is the largest predicted probability. Points below the diagonal show
      overconfident predictions.
    - "risk" draws the error of the most confident predictions against the coverage. The coverage is
      the fraction of rows for which a prediction is made.
    - "novelty" draws the ROC curve of each measure of novelty, for novel rows against known rows.

    Create the display with :meth:`from_estimator` or :meth:`from_predictions`. To draw another kind
    of plot, call the method ``plot``.

    Parameters
    ----------
    reliability : pair of ndarrays of shape (n_bins,)
        Accuracy and mean confidence of the rows of each bin.
    calibration_error : float
        Expected calibration error, from 0 to 1.
    risk_coverage : pair of ndarrays of shape (n,)
        Coverage, and fraction of wrong predictions among the rows with a prediction.
    novelty : dict of str to pair of ndarrays
        Novelty of the known rows and novelty of the novel rows, for each measure of novelty. More
        novel rows have larger values.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    lines_ : dict of str to matplotlib.lines.Line2D
        Curves of the last plot. The key of a curve is ``kind`` or the measure of novelty.

    See Also
    --------
    sk_mige.metrics.expected_calibration_error : Calibration error of predicted probabilities.
    sk_mige.metrics.risk_coverage_curve : Error of the most confident predictions.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.inspection import PredictionTrustDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MIGEEncoder(8, mode="ib", max_epochs=5, random_state=0).fit(X[:900], y[:900])
    >>> display = PredictionTrustDisplay.from_estimator(
    ...     model, X[900:], y[900:], X_novel=X[900:, ::-1], kind="novelty"
    ... )
    >>> list(display.lines_)
    ['-score_samples', '-largest probability']
    """

    reliability: Pair
    calibration_error: float
    risk_coverage: Pair
    novelty: Mapping[str, Pair]

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, X_novel: Any = None, **plot_kw: Any
    ) -> Self:
        """Draw the predictions of a fitted classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted classifier with ``predict_proba``, or a pipeline or search that ends in such a
            classifier.
        X : array-like of shape (n_samples, n_features)
            Held-out rows.
        y : array-like of shape (n_samples,)
            Classes of the rows. The training data of ``estimator`` must contain all classes in
            ``y``.
        X_novel : array-like of shape (n_novel, n_features), default=None
            Novel rows, for ``kind="novelty"``. The measure of novelty is minus the largest
            probability. If the estimator has a method ``score_samples``, minus ``score_samples`` is
            a second measure of novelty.
        **plot_kw
            Arguments of :meth:`plot`, such as ``kind`` and ``ax``.

        Returns
        -------
        PredictionTrustDisplay
        """
        model = find_part(estimator, "predict_proba", "a fitted classifier with predict_proba")
        proba = as_array(model.predict_proba(X), "predict_proba")
        novelty = {}
        if X_novel is not None and hasattr(model, "score_samples"):
            known, novel = (
                -as_array(model.score_samples(rows), "score_samples") for rows in (X, X_novel)
            )
            novelty["-score_samples"] = known, novel
        if X_novel is not None:
            largest = as_array(model.predict_proba(X_novel), "predict_proba").max(1)
            novelty["-largest probability"] = -proba.max(1), -largest
        return cls.from_predictions(y, proba, labels=model.classes_, novelty=novelty, **plot_kw)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_proba: Any,
        *,
        labels: ArrayLike | None = None,
        novelty: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        **plot_kw: Any,
    ) -> Self:
        """Draw given probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True classes.
        y_proba : array-like of shape (n_samples, n_classes)
            Predicted probabilities.
        labels : array-like of shape (n_classes,), default=None
            Class of each column. By default, the classes are the sorted values of ``y_true``.
        novelty : dict of str to pair of array-likes, default=None
            Novelty of the known rows and novelty of the novel rows, for each measure of novelty.
            Large values indicate novelty.
        **plot_kw
            Arguments of :meth:`plot`, such as ``kind`` and ``ax``.

        Returns
        -------
        PredictionTrustDisplay
        """
        correct, confidence = top_predictions(y_true, y_proba, labels=labels)
        display = cls(
            reliability=calibration_curve(correct, confidence, n_bins=15, strategy="quantile"),
            calibration_error=expected_calibration_error(y_true, y_proba, labels=labels),
            risk_coverage=risk_coverage_curve(y_true, y_proba, labels=labels),
            novelty=_pairs({} if novelty is None else novelty),
        )
        return display.plot(**plot_kw)

    def plot(self, ax: Axes | None = None, *, kind: str = "reliability", **line_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        kind : {"reliability", "risk", "novelty"}, default="reliability"
            Kind of the plot.
        **line_kw
            Keyword arguments of matplotlib's ``plot``.

        Returns
        -------
        PredictionTrustDisplay
            This display.
        """
        if kind not in list(AXES):
            raise ValueError(f"kind must be one of {list(AXES)}, got {kind!r}")
        if kind == "novelty" and not self.novelty:
            raise ValueError(
                "kind='novelty' needs novel rows: pass X_novel to from_estimator, or novelty to "
                "from_predictions"
            )
        ax = self._set_axes(ax)
        self.lines_ = {}
        for name, (x, y, label) in self._curves(kind).items():
            (self.lines_[name],) = ax.plot(x, y, **{"label": label, **line_kw})
        if kind == "reliability":
            ax.axline((1, 1), slope=1, color="0.5", linestyle=":", label="calibrated")
        xlabel, ylabel, place = AXES[kind]
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.legend(loc=place)
        return self

    def _curves(self, kind: str) -> dict[str, tuple[Any, Any, str]]:
        """Return x, y and label of each curve."""
        if kind == "reliability":
            accuracy, confidence = self.reliability
            return {kind: (confidence, accuracy, f"error {self.calibration_error:.2%}")}
        if kind == "risk":
            coverage, risk = self.risk_coverage
            return {kind: (coverage, risk, f"area {risk.mean():.3%}")}
        curves = {}
        for name, (known, novel) in self.novelty.items():
            truth = np.repeat([0, 1], [len(known), len(novel)])
            false, true, _ = roc_curve(truth, np.concatenate([known, novel]))
            curves[name] = (false, true, f"{name}: area {auc(false, true):.3f}")
        return curves


def _pairs(novelty: Any) -> dict[str, Pair]:
    """Return the novelty of known rows and of novel rows for each measure, after checks."""
    if not isinstance(novelty, Mapping) or not all(
        isinstance(pair, tuple | list) and len(pair) == 2 for pair in novelty.values()
    ):
        raise ValueError(
            "novelty must be a dict from the name of a measure to a pair (values of known rows, "
            f"values of novel rows); got {novelty!r:.80}"
        )
    return {
        name: (real_numbers(f"novelty[{name!r}]", known), real_numbers(f"novelty[{name!r}]", novel))
        for name, (known, novel) in novelty.items()
    }
