"""ProjectionSearchDisplay: what a grid search found over the dimension of a random projection."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ._axes import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ProjectionSearchDisplay"]


class ProjectionSearchDisplay(Drawing):
    """Cross-validated scores against the number of dimensions that distances are projected to.

    Make it by :meth:`from_estimator`, straight from a fitted search.

    Parameters
    ----------
    n_components : ndarray of shape (n,)
        Dimensions of the projection, ascending.
    scores : ndarray of shape (n, n_folds)
        Held-out score of each fold.
    reference : ndarray of shape (n_folds,), default=None
        Scores with exact distances.
    score_name : str, default="accuracy"
        What the scores are.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes that were drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.
    errorbar_ : matplotlib.container.ErrorbarContainer
        Mean and standard deviation over the folds.
    reference_ : matplotlib.lines.Line2D or None
        Mean with exact distances; None where it was not given.
    band_ : matplotlib.patches.Rectangle or None
        Its standard deviation over the folds.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sk_mige import MIGEEncoder, RandomProjectionSSGE
    >>> from sk_mige.inspection import ProjectionSearchDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(
    ...     n_components=8, score_estimator=RandomProjectionSSGE(), max_epochs=1, random_state=0
    ... )
    >>> search = GridSearchCV(
    ...     make_pipeline(encoder, LogisticRegression(max_iter=1000)),
    ...     {"migeencoder__score_estimator__n_components": [2, 16]},
    ...     cv=2,
    ... ).fit(X[:400] / 16, y[:400])
    >>> ProjectionSearchDisplay.from_estimator(search).n_components
    array([ 2, 16])
    """

    def __init__(
        self,
        *,
        n_components: NDArray[Any],
        scores: NDArray[Any],
        reference: NDArray[Any] | None = None,
        score_name: str = "accuracy",
    ) -> None:
        self.n_components = n_components
        self.scores = scores
        self.reference = reference
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        param: str | None = None,
        reference: ArrayLike | None = None,
        ax: Axes | None = None,
        **errorbar_kw: Any,
    ) -> Self:
        """Draw a fitted search.

        Parameters
        ----------
        search : GridSearchCV, RandomizedSearchCV or a halving search
            Fitted search in whose grid is the projection's ``n_components``. Where other
            parameters vary, too, the best mean for each dimension is drawn. Candidates without
            a number, of ``n_components="auto"``, are left out, with a warning.
        param : str, default=None
            Name of that parameter in the grid; by default the one that ends in
            ``score_estimator__n_components``, or else in ``n_components``.
        reference : array-like of shape (n_folds,), default=None
            Scores of the same folds with exact distances, such as ``cross_val_score`` returns.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **errorbar_kw
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        ProjectionSearchDisplay
        """
        check_is_fitted(search, "cv_results_")
        results = search.cv_results_
        if "mean_test_score" not in results:
            raise ValueError(
                "the search was scored by several metrics: draw one of them, by a search with a "
                "single scoring"
            )
        param = _parameter(results) if param is None else param
        if f"param_{param}" not in results:
            raise ValueError(f"param={param!r} is not in the grid, which has {_names(results)}")
        dimensions, drawn = _dimensions(param, results[f"param_{param}"])
        folds = [results[f"split{i}_test_score"] for i in range(search.n_splits_)]
        by_candidate = np.transpose(folds)
        order = np.argsort(-results["mean_test_score"], kind="stable")  # the best candidate first
        order = order[drawn[order]]
        distinct, first = np.unique(dimensions[order], return_index=True)
        accuracy = search.scoring in (None, "accuracy") and is_classifier(search)
        name = search.scoring if isinstance(search.scoring, str) else "held-out score"
        return cls.from_predictions(
            distinct,
            by_candidate[order[first]],
            reference=reference,
            score_name="accuracy" if accuracy else name,
            ax=ax,
            **errorbar_kw,
        )

    @classmethod
    def from_predictions(
        cls,
        n_components: ArrayLike,
        scores: ArrayLike,
        *,
        reference: ArrayLike | None = None,
        score_name: str = "accuracy",
        ax: Axes | None = None,
        **errorbar_kw: Any,
    ) -> Self:
        """Draw given scores, however they were found.

        Parameters
        ----------
        n_components : array-like of shape (n,)
            Dimensions of the projection.
        scores : array-like of shape (n, n_folds) or (n,)
            Score of each dimension and fold.
        reference : array-like of shape (n_folds,), default=None
            Scores of the same folds with exact distances.
        score_name : str, default="accuracy"
            What the scores are; an accuracy is drawn in percent.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **errorbar_kw
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        ProjectionSearchDisplay
        """
        dimensions = np.asarray(n_components).astype(int)
        found = np.asarray(scores, dtype=np.float64)
        found = found[:, None] if found.ndim == 1 else found
        if dimensions.ndim != 1 or len(found) != len(dimensions):
            raise ValueError(
                f"scores has shape {np.shape(scores)}, but n_components {dimensions.shape}: give a "
                "row of folds for each dimension"
            )
        return cls(
            n_components=dimensions,
            scores=found,
            reference=None if reference is None else np.asarray(reference, dtype=np.float64),
            score_name=score_name,
        ).plot(ax, **errorbar_kw)

    def plot(self, ax: Axes | None = None, **errorbar_kw: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **errorbar_kw
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        ProjectionSearchDisplay
            This display.
        """
        ax = self._axes(ax)
        k = self.n_components
        unit = 100.0 if self.score_name == "accuracy" else 1.0
        style = {"marker": "o", "capsize": 3, "label": "random projection", **errorbar_kw}
        self.errorbar_ = ax.errorbar(
            k, unit * self.scores.mean(1), unit * self.scores.std(1), **style
        )
        self.reference_ = self.band_ = None
        if self.reference is not None:
            mean, std = unit * self.reference.mean(), unit * self.reference.std()
            self.reference_ = ax.axhline(mean, color="C1", label="exact distances")
            self.band_ = ax.axhspan(mean - std, mean + std, color="C1", alpha=0.15, linewidth=0)
        ax.set_xscale("log", base=2)
        ax.set_xticks(k, [str(n) for n in k])
        ax.minorticks_off()
        ax.set_xlabel("dimensions of the projection")
        ax.set_ylabel("accuracy, %" if unit == 100.0 else self.score_name)
        if self.reference is not None:
            ax.legend(frameon=False)
        return self


def _names(results: dict[str, Any]) -> list[str]:
    return [key.removeprefix("param_") for key in results if key.startswith("param_")]


def _dimensions(param: str, values: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Dimension of each candidate, and whether it has one: grids of a list may leave it out."""
    given = np.ma.getdata(values).tolist()
    numbers = np.array([isinstance(value, Integral) for value in given])
    drawn = numbers & ~np.ma.getmaskarray(values)
    tried = np.ma.compressed(values).tolist()
    words = sorted({str(value) for value in tried if not isinstance(value, Integral)})
    if not drawn.any():
        raise ValueError(
            f"param={param!r} has no numbers to draw, got {words}: search over dimensions, such as "
            "[16, 64, 256]"
        )
    if words:
        warnings.warn(
            f"the candidates with {param} of {words} are not drawn: they have no number of "
            "dimensions. Search over numbers to see them",
            UserWarning,
            stacklevel=3,
        )
    return np.array([value if n else 0 for value, n in zip(given, drawn, strict=True)]), drawn


def _parameter(results: dict[str, Any]) -> str:
    """The one parameter of the grid that is a projection's dimension."""
    for ending in ("score_estimator__n_components", "n_components"):
        found = [name for name in _names(results) if name.endswith(ending)]
        if len(found) == 1:
            return found[0]
    raise ValueError(
        f"none, or more than one, of the searched parameters {_names(results)} is the dimension "
        "of a random projection: name it by param"
    )
