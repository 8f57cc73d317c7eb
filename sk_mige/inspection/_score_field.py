"""ScoreFieldDisplay: arrows of a score field over samples."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array, check_scalar

from sk_mige._arrays import as_array, column_names, like_frame

from ._display import Axes, Display, column_indices, last_step, real_numbers

# Largest number of arrows, if samples have more than two features. More arrows would overlap.
MOST_ARROWS = 300


@dataclass(kw_only=True, eq=False, repr=False)
class ScoreFieldDisplay(Display):
    """Plot of a score field as arrows over samples, in two coordinates.

    Create the display with :meth:`from_estimator`, or from given scores with the constructor and
    :meth:`plot`.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_features)
        Samples of the density.
    points : ndarray of shape (n_points, n_features)
        Starting points of the arrows.
    scores : ndarray of shape (n_points, n_features)
        Scores at the points.
    features : tuple of two int, default=(0, 1)
        Indices of the drawn features.
    feature_names : sequence of str, default=None
        Names of all features, for the axis labels.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    scatter_ : matplotlib.collections.PathCollection
        Samples.
    quiver_ : matplotlib.quiver.Quiver
        Arrows.

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

    Draw the exact scores at the same points:

    >>> truth = ScoreFieldDisplay.from_estimator(exact, X, points=display.points)
    """

    samples: NDArray[Any]
    points: NDArray[Any]
    scores: NDArray[Any]
    features: tuple[int, int] = (0, 1)
    feature_names: Any = None

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
        """Draw the scores of a fitted score estimator.

        Parameters
        ----------
        estimator : estimator or callable
            Fitted score estimator, or a function that maps points to scores, such as the exact
            scores of :mod:`sk_mige.datasets`. For a pipeline, the scores of the last step are drawn
            over the transformed samples. For a search, the scores of the best estimator are drawn.
        X : array-like of shape (n_samples, n_features)
            Samples to draw.
        points : array-like of shape (n_points, n_features), default=None
            Starting points of the arrows, in the same coordinates as the drawn samples. In two
            dimensions, None means a grid near the samples, because estimates far from all samples
            are unreliable. In more dimensions, None means at most 300 of the samples.
        features : tuple of two int or str, default=(0, 1)
            Indices of the drawn features, or their names if ``X`` is a data frame.
        grid_resolution : int, default=20
            Number of grid points along the longer side, at least 2.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        scatter_kw, quiver_kw : dict, default=None
            Keyword arguments of matplotlib's ``scatter`` and ``quiver``.

        Returns
        -------
        ScoreFieldDisplay
        """
        estimator, X = last_step(estimator, X)
        samples = check_array(as_array(X, "X"), input_name="X")
        names = column_names(X)
        pair = column_indices("features", features, samples.shape[1], names)
        check_scalar(grid_resolution, "grid_resolution", Integral, min_val=2)
        if points is None:
            starts = _arrow_starts(samples, grid_resolution)
        else:
            starts = _check_points(points, X, samples)
        if hasattr(estimator, "transform"):
            named = hasattr(estimator, "feature_names_in_")
            scores = estimator.transform(like_frame(starts, X) if named else starts)
        elif callable(estimator):
            scores = estimator(starts.copy())  # the function may change its argument in place
        else:
            raise TypeError(
                "estimator must be a fitted score estimator or a function of points, got "
                f"{type(estimator).__name__}, which has no transform and cannot be called"
            )
        values = real_numbers("scores", scores, ndim=2)
        if values.shape != starts.shape:
            raise ValueError(
                f"scores has shape {values.shape}, but points has shape {starts.shape}: the "
                "estimator must return one score for each point"
            )
        display = cls(
            samples=samples, points=starts, scores=values, features=pair, feature_names=names
        )
        return display.plot(ax, scatter_kw=scatter_kw, quiver_kw=quiver_kw)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        scatter_kw: dict[str, Any] | None = None,
        quiver_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        scatter_kw, quiver_kw : dict, default=None
            Keyword arguments of matplotlib's ``scatter`` and ``quiver``.

        Returns
        -------
        ScoreFieldDisplay
            This display.
        """
        ax = self._set_axes(ax)
        drawn = list(self.features)
        samples, points, scores = map(np.asarray, (self.samples, self.points, self.scores))
        self.scatter_ = ax.scatter(
            *samples[:, drawn].T, **{"s": 4, "color": "C0", "alpha": 0.4, **(scatter_kw or {})}
        )
        self.quiver_ = ax.quiver(
            *points[:, drawn].T,
            *scores[:, drawn].T,
            **{"angles": "xy", "width": 0.004, **(quiver_kw or {})},
        )
        names = self.feature_names or [f"x{i}" for i in range(samples.shape[1])]
        ax.set(xlabel=names[drawn[0]], ylabel=names[drawn[1]])
        return self


def _check_points(points: Any, X: Any, samples: NDArray[Any]) -> NDArray[Any]:
    starts: NDArray[Any] = check_array(as_array(points, "points"), input_name="points")
    names, known = column_names(points), column_names(X)
    if starts.shape[1] != samples.shape[1] or (names and known and names != known):
        raise ValueError(
            f"points has the {starts.shape[1]} columns {names or ''}, but the samples have the "
            f"{samples.shape[1]} columns {known or ''}: pass the same columns in the same order"
        )
    return starts


def _arrow_starts(samples: NDArray[Any], resolution: int) -> NDArray[Any]:
    """Return the starting points of arrows, a grid near the samples or some of the samples."""
    if samples.shape[1] > 2:
        step = -(-len(samples) // MOST_ARROWS)
        return samples[::step]
    low, high = samples.min(0), samples.max(0)
    if (low == high).all():
        return samples[:1]
    cell = (high - low).max() / (resolution - 1)
    axes = [np.arange(a, b + cell / 2, cell) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    distances, _ = NearestNeighbors(n_neighbors=1).fit(samples).kneighbors(grid)
    return grid[distances[:, 0] < cell]
