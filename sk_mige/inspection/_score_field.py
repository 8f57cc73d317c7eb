"""ScoreFieldDisplay: arrows of a score over the samples it was estimated from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array

from ._axes import Drawing
from ._inner import last_with_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ScoreFieldDisplay"]

# Arrows at samples of more than two features; more would hide each other.
MOST_ARROWS = 300


class ScoreFieldDisplay(Drawing):
    """Arrows of a score field over samples, in two of the coordinates.

    Make it by :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_features)
        Samples of the density.
    points : ndarray of shape (n_points, n_features)
        Where the arrows start.
    scores : ndarray of shape (n_points, n_features)
        Scores at the points.
    features : tuple of two int, default=(0, 1)
        Coordinates that are drawn.
    feature_names : sequence of str, default=None
        Names of all coordinates, for the axes' labels.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes that were drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.
    scatter_ : matplotlib.collections.PathCollection
        The samples.
    quiver_ : matplotlib.quiver.Quiver
        The arrows.

    Examples
    --------
    >>> from sk_mige import SSGEScoreEstimator
    >>> from sk_mige.datasets import make_banana
    >>> from sk_mige.inspection import ScoreFieldDisplay
    >>> X, exact = make_banana(300, random_state=0)
    >>> estimator = SSGEScoreEstimator().fit(X)
    >>> display = ScoreFieldDisplay.from_estimator(estimator, X)
    >>> display.scores.shape == display.points.shape
    True

    The truth at the same points, as it is known here:

    >>> truth = ScoreFieldDisplay.from_predictions(
    ...     X, exact(display.points), points=display.points
    ... )
    """

    def __init__(
        self,
        *,
        samples: NDArray[Any],
        points: NDArray[Any],
        scores: NDArray[Any],
        features: tuple[int, int] = (0, 1),
        feature_names: Any = None,
    ) -> None:
        self.samples = samples
        self.points = points
        self.scores = scores
        self.features = features
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        points: ArrayLike | None = None,
        features: tuple[int, int] = (0, 1),
        grid_resolution: int = 20,
        ax: Axes | None = None,
        scatter_kw: dict[str, Any] | None = None,
        quiver_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the field of a fitted score estimator.

        Parameters
        ----------
        estimator : estimator or callable
            Fitted score estimator, or a function from points to scores, as the exact scores of
            :mod:`sk_mige.datasets` are. Of a pipeline the score is that of what its last step
            sees, and so are the samples drawn: after scaling, say.
        X : array-like of shape (n_samples, n_features)
            Samples to draw beneath.
        points : array-like of shape (n_points, n_features), default=None
            Where to draw arrows, in the coordinates that are drawn. By default, in two
            dimensions, a grid, as far as there are samples near: beyond, an estimate has nothing
            to go by. In more, at most 300 of the samples themselves, since a plane through them is
            empty.
        features : tuple of two int, default=(0, 1)
            Coordinates to draw.
        grid_resolution : int, default=20
            Points of the grid along the longer side.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        scatter_kw, quiver_kw : dict, default=None
            Passed to matplotlib's ``scatter`` and ``quiver``.

        Returns
        -------
        ScoreFieldDisplay
        """
        estimator, X = last_with_rows(estimator, X)
        samples = _samples(X)
        at = _places(samples, grid_resolution) if points is None else np.asarray(points)
        if hasattr(estimator, "transform"):
            scores = estimator.transform(_named(at, X, estimator))
        else:
            scores = estimator(at)
        return cls.from_predictions(
            X,
            scores,
            points=at,
            features=features,
            ax=ax,
            scatter_kw=scatter_kw,
            quiver_kw=quiver_kw,
        )

    @classmethod
    def from_predictions(
        cls,
        X: Any,
        scores: ArrayLike,
        *,
        points: ArrayLike | None = None,
        features: tuple[int, int] = (0, 1),
        ax: Axes | None = None,
        scatter_kw: dict[str, Any] | None = None,
        quiver_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw given scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples to draw beneath.
        scores : array-like of shape (n_points, n_features)
            Scores at the points.
        points : array-like of shape (n_points, n_features), default=None
            Where the arrows start; at the samples by default.
        features : tuple of two int, default=(0, 1)
            Coordinates to draw.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        scatter_kw, quiver_kw : dict, default=None
            Passed to matplotlib's ``scatter`` and ``quiver``.

        Returns
        -------
        ScoreFieldDisplay
        """
        samples = _samples(X)
        at = samples if points is None else np.asarray(points)
        values = np.asarray(scores)
        if values.shape != at.shape:
            raise ValueError(
                f"scores has shape {values.shape}, but there are points of shape {at.shape}: pass "
                "one score for each point, or the points that belong to the scores"
            )
        names = list(X.columns) if hasattr(X, "columns") else None
        display = cls(
            samples=samples, points=at, scores=values, features=features, feature_names=names
        )
        return display.plot(ax, scatter_kw=scatter_kw, quiver_kw=quiver_kw)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        scatter_kw: dict[str, Any] | None = None,
        quiver_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        scatter_kw, quiver_kw : dict, default=None
            Passed to matplotlib's ``scatter`` and ``quiver``.

        Returns
        -------
        ScoreFieldDisplay
            This display.
        """
        ax = self._axes(ax)
        drawn = list(self.features)
        self.scatter_ = ax.scatter(
            *self.samples[:, drawn].T, **{"s": 4, "color": "C0", "alpha": 0.4, **(scatter_kw or {})}
        )
        self.quiver_ = ax.quiver(
            *self.points[:, drawn].T,
            *self.scores[:, drawn].T,
            **{"angles": "xy", "width": 0.004, **(quiver_kw or {})},
        )
        names = self.feature_names or [f"x{i}" for i in range(self.samples.shape[1])]
        ax.set(xlabel=names[drawn[0]], ylabel=names[drawn[1]])
        return self


def _samples(X: Any) -> NDArray[Any]:
    samples: NDArray[Any] = check_array(X, input_name="X")
    if samples.shape[1] < 2:
        raise ValueError("a score field needs samples of at least two features, X has one")
    return samples


def _named(points: NDArray[Any], X: Any, estimator: Any) -> Any:
    """Points in a frame of X's kind and columns, for estimators that know their features' names."""
    if not hasattr(estimator, "feature_names_in_") or not hasattr(X, "columns"):
        return points
    columns = "columns" if hasattr(X, "iloc") else "schema"  # pandas, or polars
    return type(X)(points, **{columns: list(X.columns)})


def _places(samples: NDArray[Any], resolution: int) -> NDArray[Any]:
    """Points for arrows: a grid near the samples, or some of the samples."""
    if samples.shape[1] > 2:
        step = -(-len(samples) // MOST_ARROWS)
        return samples[::step]
    low, high = samples.min(0), samples.max(0)
    cell = (high - low).max() / (resolution - 1)
    axes = [np.arange(a, b + cell / 2, cell) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    nearest = NearestNeighbors(n_neighbors=1).fit(samples)
    near: NDArray[Any] = nearest.kneighbors(grid)[0][:, 0] < cell
    places: NDArray[Any] = grid[near]
    return places
