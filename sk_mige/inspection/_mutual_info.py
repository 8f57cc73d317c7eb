"""MutualInfoDisplay: estimated mutual information against the number of rows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from sk_mige._sizes import as_size
from sk_mige.dependence import MutualInfoEstimator
from sk_mige.dependence._variables import as_table

from ._display import Axes, Display, real_numbers

# Smallest number of rows in the default sizes, in total and for each column of X and Y.
FEWEST_ROWS, ROWS_PER_COLUMN = 20, 4


@dataclass(kw_only=True, eq=False, repr=False)
class MutualInfoDisplay(Display):
    r"""Plot of mutual information with 90 % intervals against the number of rows.

    An estimate is more reliable if it does not change with more rows, and if the candidate
    estimators agree. Create the display with :meth:`from_estimator`, or from given estimates with
    the constructor and :meth:`plot`.

    Parameters
    ----------
    n_samples : ndarray of shape (n_sizes,)
        Numbers of rows.
    mutual_info : ndarray of shape (n_sizes,)
        Mutual information in nats.
    interval : ndarray of shape (n_sizes, 2), default=None
        Lower and upper ends of the 90 % intervals in nats. Upper ends may be infinite.
    candidates : dict of str to ndarray of shape (n_sizes,), default=None
        Estimates of each candidate estimator in nats, with NaN for sizes at which the candidate was
        not used.
    weights : dict of str to float, default=None
        Weight of each candidate estimator in the last estimate.
    truth : float, default=None
        Exact mutual information in nats.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    errorbar_ : matplotlib.container.ErrorbarContainer
        Estimates with intervals. An arrow marks an infinite upper end.
    lines_ : dict of str to matplotlib.lines.Line2D
        Estimates of each candidate.
    truth_ : matplotlib.lines.Line2D or None
        Exact mutual information, or None if ``truth`` is None.

    See Also
    --------
    sk_mige.MutualInfoEstimator : Estimator of mutual information.

    Examples
    --------
    Pairs with correlation 0.8 have :math:`I = -\frac12 \log(1 - 0.64) = 0.51` nats:

    >>> import numpy as np
    >>> from sk_mige import MutualInfoEstimator
    >>> from sk_mige.inspection import MutualInfoDisplay
    >>> x, noise = np.random.default_rng(0).standard_normal((2, 800))
    >>> estimator = MutualInfoEstimator(["gaussian", "elliptical"], random_state=0)
    >>> display = MutualInfoDisplay.from_estimator(estimator, x, 0.8 * x + 0.6 * noise, truth=0.51)
    >>> display.n_samples
    array([100, 200, 400, 800])
    >>> low, high = display.interval[-1]
    >>> bool(low < 0.51 < high)
    True
    """

    n_samples: NDArray[Any]
    mutual_info: NDArray[Any]
    interval: NDArray[Any] | None = None
    candidates: Mapping[str, NDArray[Any]] | None = None
    weights: Mapping[str, float] | None = None
    truth: float | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: MutualInfoEstimator,
        X: Any = None,
        Y: Any = None,
        *,
        sizes: Sequence[int] | None = None,
        truth: float | None = None,
        random_state: int = 0,
        ax: Axes | None = None,
        **errorbar_kw: Any,
    ) -> Self:
        """Fit copies of an estimator to nested subsets of the rows, and draw the estimates.

        Parameters
        ----------
        estimator : MutualInfoEstimator
            Estimator, fitted or not. The estimator must be fitted if ``X`` and ``Y`` are None.
        X, Y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Rows. Without rows, only the estimate of the fitted estimator is drawn.
        sizes : sequence of int, default=None
            Numbers of rows. None means n/8, n/4, n/2 and n, without sizes below 20 rows or below 4
            rows for each column of X and Y.
        truth : float, default=None
            Exact mutual information in nats.
        random_state : int, default=0
            Seed of the subsets. Each subset contains all smaller subsets.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **errorbar_kw
            Keyword arguments of matplotlib's ``errorbar``.

        Returns
        -------
        MutualInfoDisplay

        Notes
        -----
        Warnings from fits to fewer than n rows are not shown, because the plot shows the intervals.
        If ``random_state`` of the estimator is an integer, the last estimate is the same as after
        ``estimator.fit(X, Y)``.
        """
        if not isinstance(estimator, MutualInfoEstimator):
            raise TypeError(
                f"estimator must be a MutualInfoEstimator, got {type(estimator).__name__}"
            )
        if (X is None) != (Y is None):
            raise ValueError("X and Y must be given together; got one of them as None")
        if X is None:
            check_is_fitted(estimator)
            fitted = [estimator]
        else:
            x, y = as_table("X", X), as_table("Y", Y)
            fitted = _fit_subsets(estimator, x, y, sizes, random_state)
        last = fitted[-1].results_
        values = np.array([copy.mutual_info_ for copy in fitted])
        if not np.isfinite(values).any():
            raise ValueError(
                f"the estimator has no finite value to draw, got {values.tolist()}: X and Y have a "
                "relation without noise. Add the measurement noise to Y, or remove the shared "
                "columns"
            )
        display = cls(
            n_samples=np.array([len(copy.pointwise_) for copy in fitted]),
            mutual_info=values,
            interval=np.array([copy.interval_ for copy in fitted]),
            candidates=_candidate_values(fitted),
            weights=dict(zip(last["candidate"].tolist(), last["weight"].tolist(), strict=True)),
            truth=None if truth is None else float(real_numbers("truth", truth, ndim=0)),
        )
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
        MutualInfoDisplay
            This display.
        """
        ax = self._set_axes(ax)
        self.lines_ = {
            name: ax.plot(self.n_samples, values, ".:", linewidth=1, label=self._label(name))[0]
            for name, values in (self.candidates or {}).items()
        }
        style = {"marker": "o", "color": "k", "capsize": 3, "zorder": 3, "label": "estimate"}
        values = np.array(self.mutual_info, dtype=np.float64)
        values[~np.isfinite(values)] = np.nan
        self.errorbar_ = ax.errorbar(
            self.n_samples, values, **self._errors(values), **{**style, **errorbar_kw}
        )
        self.truth_ = None
        if self.truth is not None:
            self.truth_ = ax.axhline(self.truth, color="0.5", linestyle="--", label="truth")
        ax.set_xscale("log")
        ax.set_xticks(self.n_samples, [str(n) for n in self.n_samples])
        ax.minorticks_off()
        ax.set(xlabel="rows", ylabel="mutual information  (nats)")
        ax.legend(frameon=False, fontsize="small")
        return self

    def _label(self, name: str) -> str:
        return name if self.weights is None else f"{name}, weight {self.weights.get(name, 0):.2f}"

    def _errors(self, values: NDArray[Any]) -> dict[str, Any]:
        """Return lengths of the error bars. Bars with an infinite end are arrows."""
        if self.interval is None:
            return {}
        ends = np.asarray(self.interval, dtype=np.float64).T
        low, high = np.abs(ends - values)
        unbounded = ~np.isfinite(ends[1])
        high = np.where(unbounded, 0.1 * np.nanmax(np.abs(values)), high)
        return {"yerr": np.nan_to_num([low, high], posinf=0.0), "lolims": unbounded}


def _fit_subsets(
    estimator: MutualInfoEstimator,
    X: NDArray[Any],
    Y: NDArray[Any],
    sizes: Sequence[int] | None,
    random_state: int,
) -> list[MutualInfoEstimator]:
    """Fit copies of the estimator to nested subsets of the rows, in ascending order."""
    check_consistent_length(X, Y)
    n = len(X)
    order = np.random.default_rng(as_size("random_state", random_state, 0)).permutation(n)
    fitted = []
    for size in _sizes(X, Y, sizes):
        rows = np.sort(order[:size])
        with warnings.catch_warnings():
            if size < n:
                warnings.simplefilter("ignore", UserWarning)
            fitted.append(clone(estimator).fit(X[rows], Y[rows]))
    return fitted


def _sizes(X: NDArray[Any], Y: NDArray[Any], sizes: Sequence[int] | None) -> list[int]:
    """Return the checked or default numbers of rows, in ascending order."""
    n = len(X)
    if sizes is None:
        columns = sum(z[:1].size for z in (X, Y))
        fewest = max(FEWEST_ROWS, ROWS_PER_COLUMN * columns)
        return [size for size in (n // 8, n // 4, n // 2) if size >= fewest] + [n]
    found = real_numbers("sizes", sizes)
    if (found != np.round(found)).any() or found.min() < 2 or found.max() > n:
        raise ValueError(f"sizes must be integers from 2 to {n} rows, got {list(sizes)}")
    return sorted({int(size) for size in found})


def _candidate_values(fitted: list[MutualInfoEstimator]) -> dict[str, NDArray[Any]]:
    """Return the estimates of each candidate estimator, with NaN for fits without the candidate."""
    known = [
        dict(zip(f.results_["candidate"].tolist(), f.results_["value"].tolist(), strict=True))
        for f in fitted
    ]
    names = dict.fromkeys(name for values in known for name in values)
    return {name: np.array([values.get(name, np.nan) for values in known]) for name in names}
