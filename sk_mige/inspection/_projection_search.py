"""ProjectionSearchDisplay: scores of a search over the dimension of a random projection."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier

from sk_mige._warnings import warn_user

from ._display import Axes, Display, real_numbers, require, searched_parameters


@dataclass(kw_only=True, eq=False, repr=False)
class ProjectionSearchDisplay(Display):
    """Plot of cross-validated scores against the dimension of a random projection.

    Create the display with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    n_components : ndarray of shape (n,)
        Dimensions of the projection.
    scores : ndarray of shape (n, n_folds)
        Held-out score of each fold.
    reference : ndarray of shape (n_folds,), default=None
        Scores on the same folds with exact distances.
    score_name : str, default="accuracy"
        Name of the score.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    errorbar_ : matplotlib.container.ErrorbarContainer
        Mean and standard deviation over the folds.
    reference_ : matplotlib.lines.Line2D or None
        Mean score with exact distances, or None if ``reference`` is None.
    band_ : matplotlib.patches.Rectangle or None
        Band of one standard deviation of the reference over the folds, or None.

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

    n_components: NDArray[Any]
    scores: NDArray[Any]
    reference: NDArray[Any] | None = None
    score_name: str = "accuracy"

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
            Fitted search whose grid includes ``n_components`` of the projection. If the grid has
            other parameters, such as ``mode__beta``, the scores of the candidate with the best mean
            score are drawn for each dimension. Candidates with ``n_components="auto"`` are omitted,
            with a warning.
        param : str, default=None
            Name of the parameter in the grid. None searches for a name that ends in
            ``score_estimator__n_components``, then for a name that ends in ``n_components``.
        reference : array-like of shape (n_folds,), default=None
            Scores on the same folds with exact distances, such as the output of
            ``cross_val_score``.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **errorbar_kw
            Keyword arguments of matplotlib's ``errorbar``.

        Returns
        -------
        ProjectionSearchDisplay
        """
        require(search, "cv_results_", "a search such as GridSearchCV", name="search")
        results = search.cv_results_
        if "mean_test_score" not in results:
            raise ValueError(
                "search has several metrics, but only one can be drawn: use a search with a single "
                "scoring"
            )
        names = searched_parameters(results)
        param = _find_parameter(names) if param is None else param
        if param not in names:
            raise ValueError(f"param={param!r} is not in the grid, which has {names}")
        dimensions = _dimensions(param, results["params"])
        scores = np.transpose([results[f"split{i}_test_score"] for i in range(search.n_splits_)])
        order = np.argsort(-results["mean_test_score"], kind="stable")  # the best candidate first
        order = order[dimensions[order] > 0]
        k, best = np.unique(dimensions[order], return_index=True)
        name = search.scoring if isinstance(search.scoring, str) else "held-out score"
        if search.scoring in (None, "accuracy") and is_classifier(search):
            name = "accuracy"
        return cls.from_predictions(
            k, scores[order[best]], reference=reference, score_name=name, ax=ax, **errorbar_kw
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
        """Draw given scores.

        Parameters
        ----------
        n_components : array-like of shape (n,)
            Dimensions of the projection.
        scores : array-like of shape (n, n_folds) or (n,)
            Score for each dimension and fold. Dimensions with NaN or infinite scores are omitted,
            with a warning.
        reference : array-like of shape (n_folds,), default=None
            Scores on the same folds with exact distances.
        score_name : str, default="accuracy"
            Name of the score. Accuracies are drawn in percent.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **errorbar_kw
            Keyword arguments of matplotlib's ``errorbar``.

        Returns
        -------
        ProjectionSearchDisplay
        """
        dimensions = real_numbers("n_components", n_components)
        if (dimensions < 1).any() or (dimensions != np.round(dimensions)).any():
            raise ValueError(f"n_components must be positive integers, got {dimensions.tolist()}")
        found = real_numbers("scores", scores, ndim=(1, 2), finite=False)
        found = found[:, None] if found.ndim == 1 else found
        if len(found) != len(dimensions):
            raise ValueError(
                f"scores has shape {np.shape(scores)}, but n_components has shape "
                f"{dimensions.shape}: pass a score, or a row of scores of the folds, for each "
                "dimension"
            )
        dimensions, found = _without_failed(dimensions.astype(int), found)
        exact = None if reference is None else real_numbers("reference", reference)
        display = cls(n_components=dimensions, scores=found, reference=exact, score_name=score_name)
        return display.plot(ax, **errorbar_kw)

    def plot(self, ax: Axes | None = None, **errorbar_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **errorbar_kw
            Keyword arguments of matplotlib's ``errorbar``.

        Returns
        -------
        ProjectionSearchDisplay
            This display.
        """
        ax = self._set_axes(ax)
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
            ax.legend(frameon=False)
        ax.set_xscale("log", base=2)
        ax.set_xticks(k, [str(n) for n in k])
        ax.minorticks_off()
        label = "accuracy, %" if unit == 100.0 else self.score_name
        ax.set(xlabel="dimensions of the projection", ylabel=label)
        return self


def _without_failed(
    dimensions: NDArray[Any], scores: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Omit dimensions for which a score is not finite, for example because a fit failed."""
    works = np.isfinite(scores).all(1)
    failed = dimensions[~works].tolist()
    if not works.any():
        raise ValueError(
            f"scores contains NaN or infinity for each of n_components={failed}: use "
            "error_score='raise' in the search to see why the fits failed"
        )
    if failed:
        warn_user(
            f"n_components={failed} are not drawn, because their scores contain NaN or infinity: "
            "use error_score='raise' in the search to see why the fits failed"
        )
    return dimensions[works], scores[works]


def _find_parameter(names: list[str]) -> str:
    """Return the name of the searched parameter for the dimension of the projection."""
    for ending in ("score_estimator__n_components", "n_components"):
        found = [name for name in names if name.endswith(ending)]
        if len(found) == 1:
            return found[0]
    raise ValueError(
        "param=None needs exactly one searched parameter that ends in 'n_components', got "
        f"{names}: pass the name of the projection's dimension as param"
    )


def _dimensions(param: str, candidates: list[dict[str, Any]]) -> NDArray[Any]:
    """Return the dimension of each candidate, or 0 for a candidate without a dimension."""
    # A list of grids may have grids without the parameter.
    tried = [candidate.get(param, 0) for candidate in candidates]
    others = sorted({str(value) for value in tried if not isinstance(value, Integral)})
    dimensions = np.array([value if isinstance(value, Integral) else 0 for value in tried])
    if not dimensions.any():
        raise ValueError(
            f"param={param!r} has no numbers to draw, got {others}: search over dimensions, such "
            "as [16, 64, 256]"
        )
    if others:
        warn_user(
            f"the candidates with {param} of {others} are not drawn, because the search does not "
            "record their dimension: search over numbers to draw them"
        )
    return dimensions
