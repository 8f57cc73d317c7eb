"""Mutual information of two variables, with a confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sk_mige._arrays import column_names
from sk_mige._contexts import on_cpu
from sk_mige._sizes import as_size
from sk_mige._warnings import warn_user
from sk_mige.information._samples import check_same_length
from sk_mige.information.choice import CANDIDATES, choose_information, coordinates
from sk_mige.information.comparison import MAX_MIXTURE_DIMENSIONS
from sk_mige.information.evidence import LARGE, Z_90, Evidence, deal_folds
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.noise import FEWEST, MAX_DIMENSION, on_a_surface
from sk_mige.information.prediction import information_by_regression
from sk_mige.information.residuals import LinearResiduals
from sk_mige.information.screening import least_information
from sk_mige.training.device import resolve_device

from ._chain_rule import is_wide
from ._division import DividedPair
from ._label_information import LABEL_CANDIDATES, choose_label_information
from ._shared_values import have_equal_values
from ._variables import (
    MAX_CLASSES,
    Columns,
    Labels,
    Margins,
    as_table,
    check_names,
    distinct_rows,
    entropy_of_rows,
    fold_keys,
    has_names,
    is_constant,
    is_discrete,
    label_key,
    pair_codes,
    sort_key,
    stratified_folds,
    warn_of_series,
)

MIN_ROWS, MIN_ROWS_PER_LABEL = 10, 4
# Largest number of rows times labels. About ten arrays of this size exist at the same time.
MAX_PROBABILITIES = 200_000_000
# Largest number of indicator columns for a label column of a table with numbers.
MAX_INDICATORS = 500
# A larger canonical correlation means a linear relation without noise.
COLLINEAR = 1 - 1e-9
# For independent X and Y, the standard deviation of the permutation test's statistic is at most
# INFLATION times the standard deviation over permutations.
INFLATION = math.sqrt(2)

Array = NDArray[Any]


class MutualInfoEstimator(BaseEstimator):
    r"""Mutual information I(X; Y) in nats, with a 90 % interval.

    Cross-validation compares Gaussian copulas, elliptical copulas, Gaussian mixtures, nearest
    neighbours, a regression with independent noise, and a network that corrects a copula.
    Candidates with nearly the best held-out score are averaged. The spread of the averaged
    candidates widens the interval. ``results_`` holds the scores of all candidates.

    If X or Y holds labels, the estimate is the entropy of the labels minus the conditional entropy.
    Cross-validation then compares the log-loss of classifiers. The predicted probabilities are
    calibrated, except for the candidates "table" and "ordered".

    Parameters
    ----------
    candidates : "auto" or list of str, default="auto"
        Candidates to compare. The value "auto" compares all candidates for the type of the columns.
        Candidates for continuous columns are "gaussian", "elliptical", "mixture", "neighbors",
        "additive" and "network". With p columns in total, "neighbors" needs p ≤ 4, "mixture" p ≤ 40
        and "network" p ≥ 3. Candidates for labels are "linear", "quadratic", "logistic",
        "neighbors", "boosting", "trees", "table" and "ordered". The candidate "table" needs labels
        in X and in Y. The candidate "ordered" needs a single numeric label column with more than
        two values, and fewer than 40 columns in the other variable. For more than 50 labels,
        "auto" omits "boosting", whose time is proportional to the number of labels. For a table of
        labels and numbers, the list may lack candidates for one of the two types. For this type,
        "auto" is used.
    cv : int, default=3
        Number of folds. Each row is evaluated by models fitted without the row's fold.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds, the order of ties, the shuffled pairs and the networks.
    device : str or torch.device, default="auto"
        Device of the networks. The other candidates run on the CPU.

    Attributes
    ----------
    mutual_info_ : float
        Estimate in nats. The estimate is infinite if X and Y, or their normal scores, have a linear
        relation without noise. Shared values that rarely repeat also give an infinite estimate.
    interval_ : tuple of float
        Lower and upper end of the 90 % interval, in nats.
    results_ : dict of ndarrays
        One entry per candidate. "candidate" is the name, "value" the estimate in nats and
        "weight" the candidate's weight in the average. "in_sample" and "held_out" are the mean
        pointwise information of training rows and of held-out rows. "evidence" is the score that
        determines the weight. For tables of labels and numbers, and for shared values, the entries
        are the terms of a sum. "weight" is then the factor of a term.
    pointwise_ : ndarray of shape (n_samples,)
        Held-out pointwise information of each row, in nats.
    n_features_in_ : int
        Number of columns of X.

    See Also
    --------
    sk_mige.information.choose_information : Estimate for tensors of normal scores.
    sklearn.feature_selection.mutual_info_regression : Mutual information of single columns.

    Notes
    -----
    Continuous columns are replaced by their ranks. Units and increasing transforms of a column
    therefore do not change the estimate, with three exceptions. First, copulas and the network may
    use ranks of independent components, if the components describe X or Y better than a Gaussian
    copula. Second, the candidate "additive" uses the columns, but only if the gain over ranks is
    significant (:class:`~sk_mige.information.AdditiveReference`). Third, if X explains more than 99
    % of the variance of a linear combination of Y, the residual may replace the combination. Ranks
    do not resolve noise below 1 % of the variance
    (:class:`~sk_mige.information.residuals.LinearResiduals`).

    Copies of a row are counted once if X or Y holds numbers with fractions that identify the row.
    Exchanging X and Y does not change the estimate. The folds depend on the row order and on
    ``random_state``, so permuted rows give a slightly different estimate.

    Columns of strings or categories are labels. Dates and durations are numbers. Numeric columns
    are labels if they have at most 50 distinct combinations, and at most one combination per ten
    rows. Two distinct combinations are always labels. Convert numeric labels with more classes to
    strings or categories. If a table has labels and numbers, the chain rule gives separate terms
    for labels and for numbers. For numbers, columns are standardised within each class.

    Let k be repeated values that X and Y share, for example an integer column of both tables. Then
    :math:`I(X; Y) = H(k) + I(X; Y | k)`. Shared values may have different codes in X and Y. A
    frequent value of a numeric column, such as 0, is also a label. If distant clusters of X and of
    Y contain the same rows, the index of the cluster is also a shared value. Unions of clusters are
    used in the same way. If X and Y contain equal numbers in a part of the rows, the information is
    infinite.

    Rows must be independent. For random walks and other slow series, the estimate is too large. If
    X and Y have at least 200 rows and change slowly from row to row, ``fit`` issues a warning. If X
    and Y are labels, no warning is given, because rows can be sorted by several labels.

    Rows that are neighbours in a column give a lower bound on the information. With more than ten
    columns, the residuals of a network that predicts one variable give another lower bound
    (:func:`~sk_mige.information.prediction.information_by_regression`). If a bound exceeds the
    estimate, for example for a fast oscillation, the upper end of the interval is infinite.
    Averages of products of a function of X and a function of Y are compared with the averages that
    the candidates predict. If the differences are significant, the upper end increases
    (:func:`~sk_mige.information.resolution.undescribed`).

    With more than four columns, dependence on single columns and on products of two columns is
    tested. Independent components are tested in the same way. If a test is significant, the
    candidates also describe the few significant columns or components without the others
    (:func:`~sk_mige.information.choose_information`). For labels, classifiers also use the few
    columns with significant relations with the labels.

    For labels with fewer than three rows per column, the upper end of the interval is about the
    entropy of the labels. Classifiers then miss an unknown part of the information.

    The time is proportional to the number n of rows, and to the square of the number of columns.
    With two columns in each of X and Y, the time of "neighbors" is of order n\ :sup:`3/2`. For many
    rows, pass a list of the fast candidates "gaussian", "elliptical" and "mixture". For hundreds of
    columns, project X and Y to fewer columns.

    With random ranks of tied values, the estimate is too small. With equal ranks of tied values,
    the estimate is too large. The result is near the mean of both estimates, and the interval
    contains both.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige import MutualInfoEstimator
    >>> rng = np.random.default_rng(0)
    >>> X, noise = rng.standard_normal((2, 1000, 2))
    >>> Y = (0.8 * X + 0.6 * noise) ** 3  # I = -log(1 - 0.64) = 1.02 nats
    >>> estimator = MutualInfoEstimator(["gaussian", "elliptical"], random_state=0).fit(X, Y)
    >>> low, high = estimator.interval_
    >>> bool(low < 1.02 < high)
    True
    """

    pointwise_: Array
    # Names of the columns of X and Y. Files of earlier versions have no names.
    _column_names: tuple[list[str] | None, list[str] | None] = (None, None)

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
    @on_cpu()
    def fit(self, X: ArrayLike | Tensor, Y: ArrayLike | Tensor) -> Self:
        """Estimate the information.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_features)
            Rows of X, as numbers or labels.
        Y : array-like of shape (n_samples,) or (n_samples, n_columns)
            Rows of Y, in the order of X. The index of a data frame is ignored.

        Returns
        -------
        self : MutualInfoEstimator
            The fitted estimator.

        Raises
        ------
        TypeError
            If X or Y is sparse.
        ValueError
            If the numbers of rows differ, there are too few rows for ``cv`` or for a label, a value
            is missing, or no candidate of ``candidates`` applies to the columns. The error is also
            raised if the numbers of rows and of labels have a product of more than 200 million. In
            a table with numbers, a column with more than 500 labels, many of which are rare, also
            raises the error.

        Warns
        -----
        UserWarning
            If the interval is wider than 0.3 nats and 30 % of the estimate, or the information is
            infinite or nearly infinite. The warning is also given for many copies of rows,
            for relations that no candidate describes, and for slow changes from row to row.
        """
        x, y = _paired_tables(X, Y)
        if len(x) < max(MIN_ROWS, 2 * self.cv):
            raise ValueError(
                f"X and Y have {len(x)} rows; at least {max(MIN_ROWS, 2 * self.cv)} are needed "
                f"with cv={self.cv}"
            )
        self.n_features_in_ = x.shape[1]
        self._column_names = (column_names(X), column_names(Y))
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._widths = (x.shape[1], y.shape[1])
        self._constant = is_constant(x) or is_constant(y)
        self._discrete = (is_discrete(x), is_discrete(y))
        if self._constant:
            return self._set_value(0.0, (0.0, 0.0), [], np.zeros(len(x)))
        warn_of_series([x, y])
        first, owner = distinct_rows(x, y, self._discrete)
        x, y = x[first], y[first]
        if len(x) < 0.5 * len(owner) and np.ptp(np.bincount(owner)):
            warn_user(
                f"{len(owner) - len(x)} of {len(owner)} rows are copies of other rows and are "
                "counted once. If equal values identify groups, convert X or Y to strings"
            )
        if len(x) < 2 * self.cv:
            raise ValueError(
                f"X and Y have {len(x)} distinct rows; at least {2 * self.cv} are needed with "
                f"cv={self.cv}"
            )
        divided = None if all(self._discrete) else DividedPair(x, y)
        self._divided = divided if divided and divided.applies(x, y) else None
        if self._divided:
            self._fit_divided(self._divided, x, y)
        elif any(self._discrete):
            self._fit_labels(x, y)
        else:
            self._fit_continuous(x, y)
        self.pointwise_ = self.pointwise_[owner]
        return self

    @on_cpu()
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
        x, y = _paired_tables(X, Y)
        known = zip("XY", (X, Y), (x, y), self._column_names, self._widths, strict=True)
        for name, values, rows, names, width in known:
            check_names(name, values, names)
            if rows.shape[1] != width:
                raise ValueError(
                    f"{name} has {rows.shape[1]} columns, but fit received {width}: pass the same "
                    "columns"
                )
        if self._constant:
            return np.zeros(len(x))
        if np.isinf(self.mutual_info_):
            raise ValueError(
                "X and Y have a relation without noise, so their pointwise information is "
                "infinite; add the measurement noise, or remove the shared columns, and fit again"
            )
        if self._divided is not None:
            return self._divided.pmi(x, y)
        if any(self._discrete):
            rows, labelled = (y, x) if self._swapped else (x, y)
            table = self._columns[0].transform(rows)
            if table.shape[1] < len(self._rows.centre):  # fit used indicators
                table = self._columns[0].indicators(rows)
            scores = self._rows.transform(table, None)
            return self._labels.pointwise(scores.numpy(), self._classes.transform(labelled))
        generator = np.random.default_rng(self._seed)
        numbers = [c.indicators(z) for c, z in zip(self._columns, (x, y), strict=True)]
        ordered = numbers[::-1] if self._swapped else numbers
        ordered, difference = self._without_relations(ordered)
        left, right = (
            m.transform(z, generator) for m, z in zip(self._margins, ordered, strict=True)
        )
        own = self._chosen.pointwise(left, right, self._components(*ordered), self._kept(*ordered))
        return own.numpy() + difference

    @on_cpu()
    def permutation_test(self, n_permutations: int = 999) -> float:
        """Return the p-value of a permutation test of independence.

        The statistic is the mean held-out pointwise information over all rows and fitted
        candidates, with equal weights. For numbers, the network is left out if another candidate
        was fitted. Rows of Y are permuted within each fold. The models are not refitted.

        Each row is a training row of the models that evaluate the rows of other folds. A pair of
        rows of different folds therefore contributes twice to the statistic. For independent X and
        Y, the variance of the statistic is, to first order, at most twice the variance over
        permutations. Deviations of the permuted statistics from their mean are therefore multiplied
        by √2.

        Parameters
        ----------
        n_permutations : int, default=999
            Number of permutations. The smallest possible p-value is 1 / (1 + n_permutations). If
            the estimate is a sum of terms, the smallest p-value is m times larger, where m is the
            number of entries of ``results_``. A term that is estimated separately in each class
            has one entry per class.

        Returns
        -------
        float
            Approximate probability, under independence, of a statistic at least as large as
            observed.
        """
        check_is_fitted(self)
        n_permutations = as_size("n_permutations", n_permutations)
        if self._constant:
            return 1.0
        if np.isinf(self.mutual_info_):
            return 1 / (1 + n_permutations)
        if self._divided is not None:
            return self._divided.permutation_test(n_permutations)
        if not any(self._discrete) and self._residuals.is_strong:
            return 1 / (1 + n_permutations)
        generator = np.random.default_rng(self._seed)
        identity = np.arange(len(self._folds))
        permuted = np.empty(n_permutations)
        for k in range(n_permutations):
            order = identity.copy()
            for fold in np.unique(self._folds):
                rows = np.flatnonzero(self._folds == fold)
                order[rows] = generator.permutation(rows)
            permuted[k] = self._statistic(order)
        middle = permuted.mean()
        permuted = middle + INFLATION * (permuted - middle)
        exceeding = int((permuted >= self._statistic(identity)).sum())
        return (1 + exceeding) / (1 + n_permutations)

    def _fit_divided(self, divided: DividedPair, x: Array, y: Array) -> Self:
        found = divided.fit(x, y, clone(self).set_params(random_state=self._seed))
        if np.isinf(found.value):
            return self._set_infinite(len(found.pointwise))
        if np.isinf(found.interval[1]):
            _warn_of_surface(len(found.pointwise))
        return self._set_value(found.value, found.interval, divided.evidence(), found.pointwise)

    def _fit_continuous(self, x: Array, y: Array) -> Self:
        names = self._names(CANDIDATES)
        generator = np.random.default_rng(self._seed)
        self._columns = [Columns(name, z) for name, z in (("X", x), ("Y", y))]
        for c in self._columns:
            for k, known in enumerate(c.categories):
                n_labels = 0 if known is None else len(known)
                _check_repeated(f"column {k} of {c.name}", n_labels, len(x))
                _check_indicators(f"column {k} of {c.name}", n_labels)
        numbers = [c.indicators(z) for c, z in zip(self._columns, (x, y), strict=True)]
        # Sort the two variables, so that exchanging X and Y gives the same estimate.
        self._swapped = sort_key(numbers[1]) < sort_key(numbers[0])
        numbers = numbers[::-1] if self._swapped else numbers
        self._residuals = LinearResiduals(*map(torch.from_numpy, numbers))
        if min(entropy_of_rows(z) for z in numbers) < np.log(len(x) / 2):  # residuals have ties
            self._residuals.is_exact = self._residuals.is_strong = False
        if self._residuals.is_exact or have_equal_values(*numbers):
            return self._set_infinite(len(x))
        self._residuals.fit_entropies(*map(torch.from_numpy, numbers))
        numbers, difference = self._without_relations(numbers)
        self._margins = [Margins(z) for z in numbers]
        left, right = (
            m.fit_transform(z, generator) for m, z in zip(self._margins, numbers, strict=True)
        )
        _check_enough(left, right)
        first = np.unique(pair_codes(x, y))
        folds = deal_folds(torch.from_numpy(fold_keys(x, y)), self.cv, self._seed)
        self._folds = folds.numpy()
        correlation = float(_canonical_correlations(left, right).max())
        if correlation > COLLINEAR:
            return self._set_infinite(len(x))
        self._rotated = [m.components(z) for m, z in zip(self._margins, numbers, strict=True)]
        components, columns = self._components(*numbers), self._kept(*numbers)
        views = coordinates(left, right, components, columns)
        self._chosen = choose_information(
            left,
            right,
            names,
            components=components,
            numbers=columns,
            folds=folds,
            seed=self._seed,
            device=resolve_device(self.device),
        )
        used = {e.inputs for e in self._chosen.candidates}
        self._inputs = {name: [z.numpy() for z in views[name]] for name in used}
        value, interval = self._chosen.value, self._chosen.interval
        # Ranks of sums of columns resolve noise of about 4 / n of the variance. Ranks of one column
        # resolve noise of about the distance between neighbouring rows.
        finest = 5 / len(x) if left.shape[1] + right.shape[1] > 2 else 5 / len(x) ** 2
        unresolved = correlation**2 > 1 - finest
        if unresolved:
            interval = (min(interval[0], math.log(len(x))), interval[1])
        # Errors of estimated components lower large values of the information by an unknown amount.
        mixed = any(e.weight and e.inputs == "components" for e in self._chosen.candidates)
        unresolved |= mixed and value > LARGE * math.log(len(x))
        selected_x, selected_y = self._chosen.selected(views)
        if unresolved or on_a_surface(selected_x[first], selected_y[first], self._seed):
            interval = (interval[0], np.inf)
            _warn_of_surface(len(x))
        least = self._least_information(
            value, numbers, [[z[first] for z in pair] for pair in ((left, right), columns)]
        )
        if least > value + 0.01:  # smaller differences are below the errors of the bounds
            interval = (interval[0], np.inf)
            warn_user(
                f"the mutual information is at least {least:.2f} nats, because one variable "
                "predicts the other, but no candidate describes the relation. The relation may "
                "oscillate or have no noise, or successive rows may depend on each other. Pass "
                "more rows, or add the measurement noise"
            )
        hidden = self._hidden_by_ties(value, numbers, (left, right))
        value, interval = value + hidden, (interval[0], interval[1] + 2 * hidden)
        own = _average(self._chosen.candidates)
        if self._residuals.is_strong:
            interval = _shifted(value, interval, difference, self._residuals.excess)
            value += difference.mean()
        return self._set_value(value, interval, self._chosen.candidates, own + difference)

    def _least_information(
        self, value: float, numbers: list[Array], views: list[list[Tensor]]
    ) -> float:
        """Return the largest lower bound on the information, or at most ``value``."""
        scores, columns = views
        near = least_information(*map(gaussianize_ranks, scores))
        least = max(near, value + self._information_of_residuals(*columns))
        wide, narrow = sorted(columns, key=lambda z: -z.shape[1])
        if wide.shape[1] + narrow.shape[1] > MAX_DIMENSION:
            least = max(least, information_by_regression(wide, narrow, max(least, value)))
        return min(least, *map(entropy_of_rows, numbers))

    def _information_of_residuals(self, x: Tensor, y: Tensor) -> float:
        """Return a lower bound on the information that regressors and residuals share."""
        total = 0.0
        for e in self._chosen.candidates:
            if e.weight and e.inputs == "numbers":
                pair = e.models[0].residuals(x, y)
                total += e.weight * least_information(*map(gaussianize_ranks, pair))
        return total

    def _set_infinite(self, n: int) -> Self:
        warn_user(
            "the mutual information is infinite. Either X and Y, or their normal scores, have a "
            "linear relation without noise, or X and Y share values that rarely repeat. Add "
            "the measurement noise, or remove the shared columns"
        )
        return self._set_value(np.inf, (np.inf, np.inf), [], np.full(n, np.inf))

    def _without_relations(self, numbers: list[Array]) -> tuple[list[Array], Array]:
        """Replace strong linear relations by residuals, and return the change in information."""
        if not self._residuals.is_strong:
            return numbers, np.zeros(len(numbers[0]))
        columns, difference = self._residuals.transform(*map(torch.from_numpy, numbers))
        return [numbers[0], columns.numpy()], difference.numpy()

    def _hidden_by_ties(
        self, value: float, numbers: list[Array], scores: tuple[Tensor, Tensor]
    ) -> float:
        """Return half of the largest loss of information due to the random order of ties.

        The largest loss is the increase in Gaussian information if ties have equal scores. The
        entropy of the rows is an upper bound on the total information.
        """
        equal = [m.transform(z, None) for m, z in zip(self._margins, numbers, strict=True)]
        lost = _gaussian_information(*equal) - _gaussian_information(*scores)
        most = min(entropy_of_rows(z) for z in numbers)
        return max(0.0, min(lost, most - value)) / 2

    def _kept(self, *numbers: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Return the columns without linearly dependent columns."""
        left, right = (m.columns(z) for m, z in zip(self._margins, numbers, strict=True))
        return left, right

    def _components(self, *numbers: NDArray[np.float64]) -> tuple[Tensor, Tensor] | None:
        if not any(self._rotated):
            return None
        generator = np.random.default_rng(self._seed)
        left, right = (
            (rotated or margins).transform(z, generator)
            for rotated, margins, z in zip(self._rotated, self._margins, numbers, strict=True)
        )
        return left, right

    def _fit_labels(self, x: Array, y: Array) -> Self:
        self._swapped = not self._discrete[1]
        if all(self._discrete):  # the variable with fewer labels is predicted
            self._swapped = label_key(x) < label_key(y)
        name, rows, labelled = ("Y", y, x) if self._swapped else ("X", x, y)
        self._classes = Labels(labelled)
        labels = self._classes.transform(labelled)
        predicted = "X" if self._swapped else "Y"
        _check_repeated(predicted, len(self._classes.classes), len(labels))
        _check_probabilities(predicted, len(self._classes.classes), len(labels))
        keys = np.arange(len(x)) if all(self._discrete) else fold_keys(x, y)
        self._folds = stratified_folds(labels, keys, self.cv, self._seed)
        self._columns = [Columns(name, rows)]
        # For a single column of names, the codes of the names do not affect the result.
        columns = self._columns[0]
        numbers = columns.transform(rows) if rows.shape[1] == 1 else columns.indicators(rows)
        self._rows = Margins(numbers)
        scores = self._rows.fit_transform(numbers, None)
        self._labels = choose_label_information(
            scores.numpy(), labels, self._label_names(rows, labelled), self._folds, self._seed
        )
        found = self._labels
        own = _average(found.candidates)
        return self._set_value(found.value, found.interval, found.candidates, own)

    def _label_names(self, rows: Array, labelled: Array) -> tuple[str, ...]:
        """Return the names of the candidates for predicting labels from the rows."""
        n_labels = len(self._classes.classes)
        has_order = labelled.shape[1] == 1 and not has_names(labelled)
        has_order &= n_labels > 2 and rows.shape[1] < MAX_MIXTURE_DIMENSIONS
        known = LABEL_CANDIDATES[not all(self._discrete) : None if has_order else -1]
        if all(self._discrete) and has_names(rows):
            known = ("table",) if rows.shape[1] == 1 else ("table", "logistic", "boosting")
        names = self._names(known)
        if isinstance(self.candidates, str) and n_labels > MAX_CLASSES:
            names = tuple(name for name in names if name != "boosting")
        return names

    def _statistic(self, order: Array) -> float:
        """Return the mean held-out information of pairs (x, y[order]) over fitted candidates."""
        if any(self._discrete):
            return self._labels.statistic(order)
        total = 0.0
        every = [e for e in self._chosen.candidates if e.models]
        fitted = [e for e in every if not e.name.startswith("network")] or every
        for fold, k in enumerate(np.unique(self._folds)):
            rows = np.flatnonzero(self._folds == k)
            for e in fitted:
                left, right = map(torch.from_numpy, self._inputs[e.inputs])
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
        self.results_ = {"candidate": np.array([e.name for e in candidates])}
        for key in ("value", "in_sample", "held_out", "evidence", "weight"):
            self.results_[key] = np.array([getattr(e, key) for e in candidates], dtype=float)
        if np.isfinite(self.interval_[1]) and is_wide(value, self.interval_):
            warn_user(
                f"{len(pointwise)} rows do not resolve the mutual information: the 90 % interval "
                f"is {interval[0]:.2f} to {interval[1]:.2f} nats. Pass more rows, or project X "
                "and Y to fewer columns"
            )
        return self


def checked_estimator(estimator: MutualInfoEstimator | None) -> MutualInfoEstimator:
    """Return the estimator of the terms of a sum, or raise TypeError."""
    estimator = MutualInfoEstimator() if estimator is None else estimator
    if not isinstance(estimator, MutualInfoEstimator):
        raise TypeError(f"estimator must be a MutualInfoEstimator or None; got {estimator!r}")
    return estimator


def _paired_tables(X: ArrayLike | Tensor, Y: ArrayLike | Tensor) -> tuple[Array, Array]:
    """Return X and Y as tables with the same number of rows."""
    x, y = as_table("X", X), as_table("Y", Y)
    check_same_length({"X": x, "Y": y})
    return x, y


def _shifted(
    value: float, interval: tuple[float, float], difference: Array, excess: float
) -> tuple[float, float]:
    """Return the interval of the value plus the mean difference.

    The sum can be too large by up to ``excess``.
    """
    error = Z_90 * float(difference.std()) / len(difference) ** 0.5
    shifted = value + float(difference.mean())
    low, high = interval
    down, up = math.hypot(value - low, error) + excess, math.hypot(high - value, error)
    return max(0.0, shifted - down), shifted + up


def _check_enough(x: Tensor, y: Tensor) -> None:
    n, d = len(x), x.shape[1] + y.shape[1]
    if n < 3 * d:
        raise ValueError(
            f"X and Y have {n} rows and {d} columns together, but at least 3 rows per column "
            "are needed. Project X or Y to fewer columns, or collect more rows"
        )


def _check_repeated(name: str, n_labels: int, n: int) -> None:
    if n_labels > n / MIN_ROWS_PER_LABEL:
        remedy = "All labels differ: drop identifiers of rows" if n_labels == n else "Merge labels"
        raise ValueError(
            f"{name} has {n_labels} distinct labels in {n} rows; at least {MIN_ROWS_PER_LABEL} "
            f"rows per label are needed. {remedy}, or pass numbers in place of strings"
        )


def _check_indicators(name: str, n_labels: int) -> None:
    """Raise ValueError if the indicators of a column's labels need too many columns."""
    if n_labels > MAX_INDICATORS:
        raise ValueError(
            f"{name} has {n_labels} distinct labels, many of which are rare. Each label needs a "
            f"column, and at most {MAX_INDICATORS} columns are possible. Merge rare labels, so "
            "that most labels have ten rows or more"
        )


def _check_probabilities(name: str, n_labels: int, n: int) -> None:
    """Raise ValueError if the probabilities of all labels at all rows need too much memory."""
    if n_labels * n > MAX_PROBABILITIES:
        raise ValueError(
            f"{name} has {n_labels} distinct labels in {n} rows, and a classifier's probabilities "
            f"of all labels need {8e-9 * n_labels * n:.1f} GB. Merge rare labels, or pass at most "
            f"{MAX_PROBABILITIES // n_labels} rows"
        )


def _canonical_correlations(x: Tensor, y: Tensor) -> Tensor:
    left, right = (torch.linalg.qr(z - z.mean(0))[0] for z in (x, y))
    return torch.linalg.svdvals(left.mT @ right)


def _gaussian_information(x: Tensor, y: Tensor) -> float:
    """Return the mutual information of Gaussians with the canonical correlations of x and y."""
    squares = _canonical_correlations(x, y).clamp_max(1).square()
    return float(-0.5 * (-squares).log1p().sum())


def _average(candidates: list[Evidence]) -> NDArray[np.float64]:
    """Return the weighted mean of the candidates' held-out pointwise information."""
    terms = (e.weight * e.pointwise for e in candidates if e.weight)
    return sum(terms, start=torch.zeros(())).numpy()


def _warn_of_surface(n: int) -> None:
    """Warn that a relation may have no noise, or that few rows do not resolve the noise."""
    if n < FEWEST:
        warn_user(
            f"{n} rows do not resolve the mutual information, because the rows are consistent with "
            "a relation without noise. Pass more rows or fewer columns. If Y is a function of X, "
            "add the measurement noise"
        )
    else:
        warn_user(
            "the pairs (X, Y) lie near a surface of fewer dimensions than shuffled pairs, so Y is "
            "nearly a function of X. The mutual information is infinite or too large for this "
            "number of rows. Add the measurement noise"
        )
