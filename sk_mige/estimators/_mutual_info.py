"""MutualInfoEstimator: mutual information of two variables, with its interval and evidence."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sk_mige._warnings import warn_user
from sk_mige.information.axes import independent_columns
from sk_mige.information.choice import (
    CANDIDATES,
    Evidence,
    choose_information,
    deal_folds,
)
from sk_mige.information.noise import on_a_surface
from sk_mige.training import resolve_device

from ._base import DocLinkMixin
from ._label_information import LABEL_CANDIDATES, choose_label_information, table_information
from ._targets import as_numpy

__all__ = ["MutualInfoEstimator"]

MIN_ROWS = 10
# A column is discrete if it has fewer than this share of distinct values, and at most so many.
DISTINCT_SHARE, MAX_CLASSES = 0.1, 50
# An interval is wide above this many nats and this share of the value.
WIDE_NATS, WIDE_SHARE = 0.3, 0.3
# A canonical correlation of this much is a linear relation without noise.
COLLINEAR = 1 - 1e-9

Array = NDArray[Any]


class MutualInfoEstimator(DocLinkMixin, BaseEstimator):
    r"""Mutual information I(X; Y) in nats, with a 90 % interval.

    Several estimates compete on held-out rows: Gaussian and t-copulas, Gaussian mixtures, nearest
    neighbours and a network that corrects a copula. The evidence of each is in ``results_``.
    Estimates that the evidence cannot tell apart are averaged, and their spread widens the
    interval.

    Where X or Y holds labels, the estimate is :math:`H(Y) - H(Y | X)`. Classifiers compete by
    their held-out log-loss there.

    Parameters
    ----------
    candidates : "auto" or list of str, default="auto"
        Candidates to compare. For continuous columns: "gaussian", "student", "mixture",
        "neighbors" (up to four columns of X and Y together) and "network"; for labels:
        "linear", "quadratic", "logistic", "neighbors" and "boosting". "auto" compares all.
    cv : int, default=3
        Number of folds. Every row is evaluated by fits that have not seen it.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds, of ties, of shuffles and of the networks.
    device : str or torch.device, default="auto"
        Device of the networks; the other candidates run on the CPU.

    Attributes
    ----------
    mutual_info_ : float
        Estimate in nats. It is infinite if Y or a part of it is a linear function of X.
    interval_ : tuple of float
        Ends of the 90 % interval.
    results_ : dict of ndarrays
        For each candidate its name, "candidate", its estimate, "value", the mean pointwise
        information on the rows of the fits, "in_sample", and on others, "held_out",
        its "evidence" and its "weight".
    pointwise_ : ndarray of shape (n_samples,)
        Held-out pointwise information of the rows.
    n_features_in_ : int
        Number of columns of X.

    See Also
    --------
    sk_mige.information.choose_information : The same for tensors of normal scores.
    sklearn.feature_selection.mutual_info_regression : Information of single columns.

    Notes
    -----
    Ranks replace continuous columns, so that the estimate depends on their order alone: units and
    increasing transforms of columns do not matter. Ties are broken at random, which leaves the
    information unchanged. X and Y may be exchanged. The folds depend on the order of the rows
    and on ``random_state``; permuted rows give the same estimate up to that chance.

    Fitted estimators are stored by pickle or joblib. skops cannot store their trees and networks.

    Labels are strings, booleans, categories, and columns with few distinct numbers. In a
    variable of several columns all must be so; otherwise their ranks are used.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige import MutualInfoEstimator
    >>> rng = np.random.default_rng(0)
    >>> X, noise = rng.standard_normal((2, 1000, 2))
    >>> Y = (0.8 * X + 0.6 * noise) ** 3  # I = -log(1 - 0.64) = 1.02 nats
    >>> estimator = MutualInfoEstimator(["gaussian", "student"], random_state=0).fit(X, Y)
    >>> low, high = estimator.interval_
    >>> bool(low < 1.02 < high)
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "candidates": ["array-like", str],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
        "device": [str, torch.device],
    }

    def __init__(
        self,
        candidates: str | Sequence[str] = "auto",
        *,
        cv: int = 3,
        random_state: Any = None,
        device: str | torch.device = "auto",
    ) -> None:
        self.candidates = candidates
        self.cv = cv
        self.random_state = random_state
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike | Tensor, Y: ArrayLike | Tensor) -> Self:
        """Estimate the information.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_features)
            Rows of X: numbers or labels.
        Y : array-like of shape (n_samples,) or (n_samples, n_columns)
            Rows of Y.

        Returns
        -------
        self : MutualInfoEstimator
            The fitted estimator.
        """
        x, y = _table("X", X), _table("Y", Y)
        if len(x) != len(y):
            raise ValueError(
                f"X and Y must have the same number of rows; got {len(x)} and {len(y)}"
            )
        if len(x) < max(MIN_ROWS, 2 * self.cv):
            raise ValueError(
                f"X and Y have {len(x)} rows; at least {max(MIN_ROWS, 2 * self.cv)} are needed "
                f"with cv={self.cv}"
            )
        self.n_features_in_ = x.shape[1]
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._widths = (x.shape[1], y.shape[1])
        self._constant = _is_constant(x) or _is_constant(y)
        self._discrete = (_is_discrete(x), _is_discrete(y))
        self._set_value(0.0, (0.0, 0.0), [], np.zeros(len(x)))
        if self._constant:
            return self
        if any(self._discrete):
            return self._fit_labels(x, y)
        return self._fit_continuous(x, y)

    def pmi(self, X: ArrayLike | Tensor, Y: ArrayLike | Tensor) -> NDArray[np.float64]:
        """Return the pointwise information log p(x, y) / (p(x) p(y)) of new rows.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_features)
            Rows of X.
        Y : array-like of shape (n_samples,) or (n_samples, n_columns)
            Rows of Y.

        Returns
        -------
        ndarray of shape (n_samples,)
            Pointwise information in nats.
        """
        check_is_fitted(self)
        x, y = _table("X", X), _table("Y", Y)
        if len(x) != len(y):
            raise ValueError(
                f"X and Y must have the same number of rows; got {len(x)} and {len(y)}"
            )
        for name, rows, width in (("X", x, self._widths[0]), ("Y", y, self._widths[1])):
            if rows.shape[1] != width:
                raise ValueError(f"{name} has {rows.shape[1]} columns, but fit saw {width}")
        if self._constant:
            return np.zeros(len(x))
        if np.isinf(self.mutual_info_):
            raise ValueError(
                "the pointwise information does not exist: X and Y share a linear combination of "
                "columns without noise; remove it from one of them"
            )
        if any(self._discrete):
            return self._label_pmi(x, y)
        generator = np.random.default_rng(self._seed)
        scores = [m.transform(z, generator) for m, z in zip(self._margins, (x, y), strict=True)]
        ordered = scores[::-1] if self._swapped else scores
        return self._chosen.pointwise(*ordered).numpy()

    def permutation_test(self, n_permutations: int = 999) -> float:
        """Return the p-value of independence.

        The statistic is the mean held-out pointwise information of the candidates, with equal
        weights. Rows of Y are permuted within each fold; the fits are kept.

        Parameters
        ----------
        n_permutations : int, default=999
            Number of permutations; the p-value is at least 1 / (1 + n_permutations).

        Returns
        -------
        float
            Probability of such a large statistic if X and Y are independent.
        """
        check_is_fitted(self)
        if n_permutations < 1:
            raise ValueError(f"n_permutations must be a positive integer; got {n_permutations!r}")
        if self._constant:
            return 1.0
        if np.isinf(self.mutual_info_):
            return 1 / (1 + int(n_permutations))
        generator = np.random.default_rng(self._seed)
        identity = np.arange(len(self._folds))
        observed = self._statistic(identity)
        exceeding = 1
        for _ in range(int(n_permutations)):
            order = identity.copy()
            for fold in np.unique(self._folds):
                rows = np.flatnonzero(self._folds == fold)
                order[rows] = generator.permutation(rows)
            exceeding += self._statistic(order) >= observed
        return float(exceeding / (1 + int(n_permutations)))

    def _fit_continuous(self, x: Array, y: Array) -> Self:
        names = self._names(CANDIDATES)
        generator = np.random.default_rng(self._seed)
        numbers = [_numbers(name, z) for name, z in (("X", x), ("Y", y))]
        self._margins = [_Margins(z) for z in numbers]
        # One order of the two, whichever is called X: exchanged variables give the same estimate.
        keys = [_key(z) for z in numbers]
        self._swapped = keys[1] < keys[0]
        order = (1, 0) if self._swapped else (0, 1)
        ordered = [self._margins[i].transform(numbers[i], generator) for i in order]
        for i, scores in zip(order, ordered, strict=True):
            self._margins[i].keep = kept = independent_columns(scores)
            ordered[order.index(i)] = scores[:, kept]
        left, right = ordered
        _check_enough(left, right)
        self._pair = (left, right)
        _, first, owner = np.unique(_codes(x, y), return_index=True, return_inverse=True)
        folds = deal_folds(torch.from_numpy(owner.ravel()), self.cv, self._seed)
        self._folds = folds.numpy()
        if len(np.unique(self._folds)) < self.cv:
            raise ValueError(
                f"X and Y have {owner.max() + 1} distinct rows, fewer than cv={self.cv} folds: "
                "lower cv, or pass the columns as labels (strings)"
            )
        if _largest_correlation(left, right) > COLLINEAR:
            warn_user(
                "a linear combination of normal scores of Y is one of X: Y or a part of it is a "
                "function of X without noise, and their information is infinite; add the noise "
                "of the measurement, or remove the shared columns"
            )
            return self._set_value(np.inf, (np.inf, np.inf), [], np.full(len(x), np.inf))
        device = resolve_device(self.device)
        self._chosen = choose_information(
            left, right, names, folds=folds, seed=self._seed, device=device
        )
        value, interval = self._chosen.value, self._chosen.interval
        if on_a_surface(left[first], right[first], self._seed):
            interval = (interval[0], np.inf)
            warn_user(
                "near their rows X and Y together have fewer dimensions than X and Y apart: Y is "
                "nearly a function of X, their information is infinite or larger than the rows "
                "resolve, and the estimate grows with their number; add the noise of the "
                "measurement"
            )
        pointwise = _average(self._chosen.candidates)
        return self._set_value(value, interval, self._chosen.candidates, pointwise)

    def _fit_labels(self, x: Array, y: Array) -> Self:
        names = self._names(LABEL_CANDIDATES)
        self._swapped = not self._discrete[1]
        rows, labelled = (y, x) if self._swapped else (x, y)
        self._classes = _Labels(labelled)
        labels = self._classes.transform(labelled)
        self._folds = _stratified(labels, _codes(x, y), self.cv, self._seed)
        if all(self._discrete):
            self._rows: Any = _Labels(rows)
            self._labels = table_information(self._rows.transform(rows), labels, self._folds)
        else:
            numbers = _numbers("Y" if self._swapped else "X", rows)
            self._rows = _Margins(numbers)
            scores = self._rows.transform(numbers, np.random.default_rng(self._seed))
            self._rows.keep = independent_columns(scores)
            self._labels = choose_label_information(
                scores[:, self._rows.keep].numpy(), labels, names, self._folds, self._seed
            )
        found = self._labels
        return self._set_value(
            found.value, found.interval, found.candidates, _average(found.candidates)
        )

    def _label_pmi(self, x: Array, y: Array) -> NDArray[np.float64]:
        rows, labelled = (y, x) if self._swapped else (x, y)
        labels = self._classes.transform(labelled)
        if all(self._discrete):
            return self._labels.pointwise(self._rows.transform(rows)[:, None], labels)
        scores = self._rows.transform(_numbers("X", rows), np.random.default_rng(self._seed))
        return self._labels.pointwise(scores.numpy(), labels)

    def _statistic(self, order: Array) -> float:
        """Mean held-out information of pairs (x, y[order]), candidates with equal weights."""
        if any(self._discrete):
            return self._labels.statistic(order)
        left, right = self._pair
        total = 0.0
        fitted = [e for e in self._chosen.candidates if e.models and e.name != "network"]
        fitted = fitted or [e for e in self._chosen.candidates if e.models]
        for fold, k in enumerate(np.unique(self._folds)):
            rows = np.flatnonzero(self._folds == k)
            for e in fitted:
                own = e.models[fold].pointwise(left[rows], right[order[rows]])
                total += float(own.sum())
        return total / max(1, len(fitted)) / len(order)

    def _names(self, known: tuple[str, ...]) -> tuple[str, ...]:
        if isinstance(self.candidates, str) and self.candidates == "auto":
            return known
        asked = (self.candidates,) if isinstance(self.candidates, str) else tuple(self.candidates)
        unknown = [name for name in asked if name not in known]
        if unknown or not asked:
            raise ValueError(
                f"candidates must be 'auto' or some of {list(known)} for these columns; got "
                f"{self.candidates!r}"
            )
        return asked

    def _set_value(
        self,
        value: float,
        interval: tuple[float, float],
        candidates: list[Evidence],
        pointwise: Array,
    ) -> Self:
        self.mutual_info_ = float(value)
        self.interval_ = (float(interval[0]), float(interval[1]))
        self.pointwise_ = np.asarray(pointwise)
        self.results_ = {
            "candidate": np.array([e.name for e in candidates]),
            **{
                key: np.array([getattr(e, key) for e in candidates], dtype=float)
                for key in ("value", "in_sample", "held_out", "evidence", "weight")
            },
        }
        width = self.interval_[1] - self.interval_[0]
        if np.isfinite(width) and width > max(WIDE_NATS, WIDE_SHARE * value):
            warn_user(
                f"{len(pointwise)} rows do not resolve the information: the 90 % interval goes "
                f"from {interval[0]:.2f} to {interval[1]:.2f} nats; pass more rows, or project X "
                "and Y to fewer columns"
            )
        return self


class _Margins:
    """Normal scores of columns, by their ranks among the fitted rows."""

    def __init__(self, z: NDArray[np.float64]) -> None:
        self.varying = np.flatnonzero((z != z[0]).any(0))
        self.sorted = np.sort(z[:, self.varying], axis=0)
        self.keep: list[int] | None = None

    def transform(self, z: Array, generator: np.random.Generator) -> Tensor:
        """Return scores; ties get ranks between those of their neighbours, at random."""
        z = np.asarray(z, dtype=np.float64)[:, self.varying]
        n = len(self.sorted)
        scores = np.empty(z.shape)
        for k in range(z.shape[1]):
            low = np.searchsorted(self.sorted[:, k], z[:, k], side="left")
            high = np.searchsorted(self.sorted[:, k], z[:, k], side="right")
            tied = high - low > 1
            share = np.where(tied, generator.random(len(z)), 0.5)
            level = (low + share * (high - low)) / n
            scores[:, k] = ndtri(np.clip(level, 0.5 / n, 1 - 0.5 / n))
        found = torch.from_numpy(scores)
        return found if self.keep is None else found[:, self.keep]


def _table(name: str, values: Any) -> Array:
    """Return a variable as an array (n, d) without missing values."""
    table = np.asarray(as_numpy(values))
    if table.ndim == 0:
        raise ValueError(f"{name} must hold one row per sample; got a single value")
    if table.ndim > 2:
        raise ValueError(
            f"{name} has the shape {table.shape}, but rows are flat: pass "
            f"{name}.reshape({len(table)}, -1)"
        )
    table = table.reshape(len(table), -1)
    if table.shape[1] == 0:
        raise ValueError(f"{name} has no columns; got shape {table.shape}")
    if table.dtype.kind == "c":
        raise ValueError(f"{name} holds complex numbers; pass real and imaginary parts as columns")
    missing = table.dtype.kind == "f" and not np.isfinite(table).all()
    if table.dtype.kind == "O":
        missing = any(v is None or bool(v != v) for v in table.flat)
    if missing:
        raise ValueError(f"{name} contains NaN, None or infinity; drop or impute those rows")
    return table


def _numbers(name: str, table: Array) -> NDArray[np.float64]:
    """Return columns as numbers; those that are not become the codes of their labels."""
    if table.dtype.kind in "biuf":
        return np.asarray(table, dtype=np.float64)
    columns = []
    for column in table.T:
        try:
            columns.append(column.astype(np.float64))
        except (TypeError, ValueError):
            columns.append(np.unique(column.astype(str), return_inverse=True)[1].astype(float))
    return np.stack(columns, axis=1)


def _is_constant(table: Array) -> bool:
    return bool((table == table[:1]).all())


def _is_discrete(table: Array) -> bool:
    return all(_is_discrete_column(column) for column in table.T)


def _is_discrete_column(column: Array) -> bool:
    if column.dtype.kind in "bUS":
        return True
    if column.dtype.kind == "O":
        try:
            column = column.astype(np.float64)
        except (TypeError, ValueError):
            return True
    distinct = len(np.unique(column))
    return distinct <= min(MAX_CLASSES, max(2, DISTINCT_SHARE * len(column)))


class _Labels:
    """Numbers of labels; several columns make one label."""

    def __init__(self, table: Array) -> None:
        self.classes = {row: k for k, row in enumerate(sorted(set(_as_rows(table))))}

    def transform(self, table: Array) -> NDArray[np.int64]:
        """Return the number of each label."""
        rows = _as_rows(table)
        unseen = sorted(set(rows) - set(self.classes))
        if unseen:
            raise ValueError(f"labels that fit did not see: {unseen[:5]}; pass rows without them")
        return np.array([self.classes[row] for row in rows], dtype=np.int64)


def _as_rows(table: Array) -> list[tuple[str, ...]]:
    return [tuple(map(str, row)) for row in table.tolist()]


def _stratified(
    labels: NDArray[np.int64], codes: NDArray[np.int64], n_folds: int, seed: int
) -> NDArray[np.int64]:
    """Deal rows into folds class by class; equal rows share a fold."""
    _, first, owner = np.unique(codes, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(first))
    order = order[np.argsort(labels[first][order], kind="stable")]
    folds = np.empty(len(first), np.int64)
    folds[order] = np.arange(len(first)) % n_folds
    if len(first) < n_folds * 2:  # few distinct rows: copies cannot be kept together
        return np.random.default_rng(seed).permutation(len(labels)) % n_folds
    return folds[owner.ravel()]


def _codes(x: Array, y: Array) -> NDArray[np.int64]:
    """Return one integer for each distinct pair of rows, whichever of them is called X."""
    rows = [np.ascontiguousarray(_numbers("X", z)) + 0.0 for z in (x, y)]
    owners = [np.unique(z, axis=0, return_inverse=True)[1].ravel() for z in rows]
    pairs = np.stack(owners, axis=1)
    _, first, owner = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    # The number of the row in which a pair comes first does not depend on values.
    return first[owner.ravel()]


def _key(z: NDArray[np.float64]) -> tuple[Any, ...]:
    """Return what orders two variables, unchanged by increasing maps of their columns."""
    ranks = [np.unique(column, return_inverse=True)[1].ravel() for column in z.T]
    return z.shape[1], *np.stack(ranks, axis=1)[:8].ravel().tolist()


def _check_enough(x: Tensor, y: Tensor) -> None:
    n, d = len(x), x.shape[1] + y.shape[1]
    if n < 3 * d:
        raise ValueError(
            f"X and Y have {d} columns together and {n} rows, of which 3 for each column are "
            "needed; project X or Y to fewer columns, or collect more rows"
        )


def _largest_correlation(x: Tensor, y: Tensor) -> float:
    """Return the largest canonical correlation."""
    left, right = (torch.linalg.qr(z - z.mean(0))[0] for z in (x, y))
    return float(torch.linalg.svdvals(left.mT @ right).max())


def _average(candidates: list[Evidence]) -> NDArray[np.float64]:
    """Return the candidates' held-out pointwise information, by their weights."""
    used = [e for e in candidates if e.weight]
    total: NDArray[np.float64] = sum(e.weight * e.pointwise for e in used).numpy()  # type: ignore[union-attr]
    return total
