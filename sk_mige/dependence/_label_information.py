"""Mutual information between columns and labels, estimated by cross-validated classifiers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtri, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sk_mige.information.evidence import Z_90, Evidence, set_weights
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.references import MixtureReference
from sk_mige.information.screening import MAX_COLUMNS, columns_of_labels

LABEL_CANDIDATES = (
    "table",
    "linear",
    "quadratic",
    "logistic",
    "neighbors",
    "boosting",
    "trees",
    "ordered",
)
# Candidates that memorise training rows, so that the in-sample log-loss is not a bound.
MEMORISING = ("neighbors", "boosting", "trees")
# Candidates whose probabilities are not calibrated after the fit.
AS_FITTED = ("table", "ordered")
# Differences in evidence below 0.005 nats are treated as noise.
TOLERANCE = 0.005
PSEUDOCOUNTS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
# Calibrations of probabilities: factors of the log-ratios to the class frequencies, and weights of
# the class frequencies in a mixture.
STEEPNESS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 8.0, 16.0)
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
# Ridge of the covariances of normal scores.
RIDGE = 1e-3
# Number of points in the interval of an ordered label.
N_POINTS = 3
# With fewer rows per column, the upper end of the interval is the entropy of the labels.
MIN_ROWS_PER_COLUMN = 3
# Candidates that can miss information with few rows per parameter.
PARAMETRIC = ("table", "linear", "logistic")
# The trees of a fit have at most 100 * 2 * LEAF_VALUES values, 160 MB. A node has a value for each
# class, and OF_A_NODE other values.
LEAF_VALUES, OF_A_NODE = 100_000, 8
# Standard errors above which a gain from more rows is significant.
SIGNIFICANT = 3.0
ALL = slice(None)
# Suffix of the candidates that use the few related columns.
FEW = " of few columns"

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass
class LabelInformation:
    """Mutual information with labels, and the candidates that were compared."""

    value: float
    interval: tuple[float, float]
    candidates: list[Evidence]
    log_prior: Floats
    labels: Labels
    # Held-out log-posteriors (n, n_classes) of all candidates in float32, without calibration.
    log_posteriors: list[NDArray[np.floating[Any]]]

    def statistic(self, order: NDArray[Any]) -> float:
        """Return the held-out information with permuted labels, averaged over candidates."""
        rows, labels = np.arange(len(order)), self.labels[order]
        gains = [p[rows, labels] - self.log_prior[labels] for p in self.log_posteriors]
        return float(np.mean(gains))

    def pointwise(self, scores: Floats, labels: Labels) -> Floats:
        """Return the pointwise information of new rows, averaged over folds and candidates."""
        gain = np.zeros(len(scores))
        for e in self.candidates:
            for model in e.models if e.weight else ():
                posterior = model.log_posterior(scores)
                share = e.weight / len(e.models)
                gain += share * (posterior[np.arange(len(scores)), labels] - self.log_prior[labels])
        return gain


def choose_label_information(
    scores: Floats, labels: Labels, names: Sequence[str], folds: Labels, seed: int
) -> LabelInformation:
    """Estimate H(Y) - H(Y | X) by the classifiers with the best held-out log-loss.

    Parameters
    ----------
    scores : ndarray of shape (n, d)
        Normal scores of X.
    labels : ndarray of shape (n,)
        Integer labels, from 0.
    names : sequence of str
        Names of the candidates.
    folds : ndarray of shape (n,)
        Fold of each row.
    seed : int
        Seed of the boosting and of the trees.

    Returns
    -------
    LabelInformation

    Notes
    -----
    With more than four columns, the candidates also predict the labels from the few columns that
    have significant relations with the labels
    (:func:`~sk_mige.information.screening.columns_of_labels`). The columns of each fold are chosen
    from its training rows, because a choice from all rows would bias the held-out information.

    The predicted probabilities are calibrated, except for "table" and "ordered". In each fold, the
    two parameters of the calibration maximise the likelihood of the other folds. For the calibrated
    classifiers, the gain from each half of the training rows to all training rows raises the upper
    end of the interval. The bias is assumed to be proportional to 1 / sqrt(n). If a classifier does
    not memorise rows, the gain from quarters to halves is compared. If this gain is less than
    sqrt(2) times the gain from halves, a bias of order n ** (-1 / 4) is assumed.

    With fewer than three rows per column, classifiers miss an unknown part of the information. The
    upper end of the interval is then the entropy of the labels plus its error, at most the log of
    the number of labels. If "table" is a candidate, this upper end is not used.
    """
    n, rows = len(labels), np.arange(len(labels))
    counts = np.bincount(labels)
    log_prior, most = np.log(counts / n), math.log(len(counts))
    entropy = min(-float((counts / n) @ log_prior) + (len(counts) - 1) / (2 * n), most)
    judged, posteriors = [], []
    columns: dict[str, list[list[int]] | None] = dict.fromkeys(names)
    few = [_few_columns(scores[folds != k], labels[folds != k], seed) for k in np.unique(folds)]
    columns |= {name + FEW: few for name in names if any(few) and name != "table"}
    table = _LabelledRows(scores, labels, folds, log_prior, seed)
    for name, own in columns.items():
        fits, posterior, inside, as_fitted = table.cross_fit(name, own)
        gain = posterior[rows, labels] - log_prior[labels]
        held_out = float(gain.mean())
        in_sample = held_out if name.startswith(MEMORISING) else inside
        value = (held_out + in_sample) / 2
        row = torch.from_numpy(gain)
        judged.append(Evidence(name, value, in_sample, held_out, held_out, row, None, fits))
        posteriors.append(as_fitted.astype(np.float32))
    zeros = torch.zeros(n, dtype=torch.float64)
    judged.insert(0, Evidence("independent", 0.0, 0.0, 0.0, 0.0, zeros))
    set_weights(judged, TOLERANCE)
    used = [e for e in judged if e.weight]
    limits = 0.0
    for e in used:
        if not e.models or e.name.startswith(AS_FITTED):
            continue
        of_half = table.gain_of_parts(2, e.name, columns[e.name])
        growth = e.pointwise.numpy() - of_half
        missing = max(0.0, float(growth.mean()))
        # Errors of boundaries between classes give a bias of order 1 / sqrt(n).
        decay = math.sqrt(2)
        if e.name.startswith(MEMORISING):
            # For a bias of order 1 / n, the gain from n / 2 to n rows equals the bias at n.
            e.in_sample = e.held_out + 2 * missing
            e.value = (e.in_sample + e.held_out) / 2
        elif missing > SIGNIFICANT * float(growth.std()) / n**0.5:
            of_quarter = table.gain_of_parts(4, e.name, columns[e.name])
            if float((of_half - of_quarter).mean()) < decay * missing:
                decay = 2**0.25
        limit = e.held_out + missing / (decay - 1)
        limits += e.weight * max(0.0, limit - e.value)
    value = sum(e.weight * e.value for e in used)
    sampling = sum(e.weight * (float(e.pointwise.var()) / n + (e.value - value) ** 2) for e in used)
    variance = sampling + sum(e.weight * _unconfirmed(e) ** 2 for e in used)
    # The expectation of the held-out information is a lower bound.
    least = sum(e.weight * e.held_out for e in used) - Z_90 * math.sqrt(sampling)
    # The entropy of the labels bounds the information, and is at most the log of the number of
    # labels.
    value = min(max(value, 0.0), entropy)
    error = Z_90 * math.sqrt(variance)
    largest = min(entropy + Z_90 * float(log_prior[labels].std()) / n**0.5, most)
    smoothed = -math.log1p(-_smoothing(n))  # largest loss of information due to the smoothing
    high = min(max(value + error + limits + smoothed, _unresolved(judged)), largest)
    if n < MIN_ROWS_PER_COLUMN * scores.shape[1] and "table" not in names:
        high = largest
    interval = (max(0.0, value - error, min(least, value)), high)
    return LabelInformation(value, interval, judged, log_prior, labels, posteriors)


def _unconfirmed(e: Evidence) -> float:
    """Return the error of the average of the in-sample and held-out means."""
    half = (e.in_sample - e.held_out) / 2
    if e.name == "table":
        return math.hypot(half / 2, half**2)
    # The bias of a memorising candidate may decrease more slowly than 1 / n.
    return 2 * half if e.name.startswith(MEMORISING) else half


def _few_columns(scores: Floats, labels: Labels, seed: int) -> list[int]:
    """Return the columns with significant relations with the labels, or [] for few columns."""
    if scores.shape[1] <= MAX_COLUMNS:
        return []
    indicators = labels[:, None] == np.arange(labels.max() + 1)
    return columns_of_labels(torch.from_numpy(scores), torch.from_numpy(indicators), seed)


def _unresolved(judged: list[Evidence]) -> float:
    """Return the largest upper end of the parametric intervals, or 0 if all columns are used.

    With few rows per parameter, classifiers of all columns overfit. Independence or few columns can
    then have the best evidence although the other columns have information.
    """
    ends = [e.value + Z_90 * _unconfirmed(e) for e in judged if e.name in PARAMETRIC]
    leaves_out = any(e.weight and (not e.models or e.name.endswith(FEW)) for e in judged)
    return max(ends, default=0.0) if leaves_out else 0.0


class _Table(ClassifierMixin, BaseEstimator):
    r"""Class frequencies for each distinct row, shrunk towards the class frequencies of all rows.

    .. math:: p(y | x) = \frac{n_{xy} + \kappa\, p(y)}{n_x + \kappa}

    Here :math:`n_x` rows equal x, and :math:`n_{xy}` of these rows have the label y. The
    pseudocount κ maximises the leave-one-out likelihood.
    """

    def fit(self, x: Floats, labels: Labels) -> Self:
        """Count the labels for each distinct row."""
        self.classes_, codes = np.unique(labels, return_inverse=True)
        self.prior_ = np.bincount(codes) / len(codes)
        rows, owner = np.unique(x, axis=0, return_inverse=True)
        owner = owner.ravel()
        counts = np.zeros((len(rows), len(self.classes_)))
        np.add.at(counts, (owner, codes), 1)
        self.counts_ = {row.tobytes().hex(): count for row, count in zip(rows, counts, strict=True)}
        own, total = counts[owner, codes] - 1, counts.sum(1)[owner] - 1
        # The left-out row is removed from the prior as well.
        prior = np.maximum(self.prior_[codes] - 1 / len(codes), 0.5 / len(codes))
        likelihoods = [np.log((own + k * prior) / (total + k)).mean() for k in PSEUDOCOUNTS]
        self.pseudocount_ = PSEUDOCOUNTS[int(np.argmax(likelihoods))]
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Return the shrunk class frequencies of rows (n, d)."""
        shrunk = self._counts(x) + self.pseudocount_ * self.prior_
        return shrunk / shrunk.sum(1, keepdims=True)

    def frequencies(self, x: Floats) -> Floats:
        """Return the class frequencies of training rows, without shrinkage."""
        counts = self._counts(x)
        return counts / counts.sum(1, keepdims=True)

    def _counts(self, x: Floats) -> Floats:
        nothing = np.zeros(len(self.classes_))
        return np.array([self.counts_.get(row.tobytes().hex(), nothing) for row in x])


class _Ordered(ClassifierMixin, BaseEstimator):
    """Gaussian mixture of rows and normal scores of labels, with an interval for each label."""

    def fit(self, x: Floats, labels: Labels) -> Self:
        """Fit the mixture to normal scores with a random order of rows of the same label."""
        self.classes_, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        n, self.log_prior_ = len(codes), np.log(counts / len(codes))
        level = np.empty(n)
        level[np.lexsort((np.random.default_rng(0).random(n), codes))] = (np.arange(n) + 0.5) / n
        share = (np.arange(N_POINTS) + 0.5) / N_POINTS
        below = np.cumsum(counts) - counts
        self.points_ = ndtri((below[:, None] + share * counts[:, None]) / n)
        self.model_ = MixtureReference().fit(*map(torch.from_numpy, (x, ndtri(level)[:, None])))
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Return the probability of the interval of each label."""
        rows = torch.from_numpy(x)
        ratio = [
            self.model_.pointwise(rows, rows.new_full((len(x), 1), point)).numpy()
            for point in self.points_.ravel()
        ]
        joint = logsumexp(np.reshape(ratio, (*self.points_.shape, len(x))), axis=1).T
        return softmax(joint + self.log_prior_, axis=1)


class _Quadratic(ClassifierMixin, BaseEstimator):
    """Gaussian density of each class, with covariances shrunk towards the pooled covariance.

    The pooled covariance counts as half a row per column. Classes of few rows therefore have nearly
    the pooled covariance, as in linear discriminant analysis.
    """

    def fit(self, x: Floats, labels: Labels) -> Self:
        """Fit the means and the covariances."""
        self.classes_, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        d, prior = x.shape[1], 0.5 * x.shape[1]
        groups = [x[codes == k] for k in range(len(counts))]
        self.means_ = np.stack([own.mean(0) for own in groups])
        centred = [own - mean for own, mean in zip(groups, self.means_, strict=True)]
        scatter = np.stack([own.T @ own for own in centred])
        pooled = scatter.sum(0) / max(1, len(x) - len(counts))
        covariances = (scatter + prior * pooled) / (counts - 1 + prior)[:, None, None]
        covariances = (1 - RIDGE) * covariances + RIDGE * np.eye(d)
        self.whiten_ = np.linalg.inv(np.linalg.cholesky(covariances))
        slopes = np.log(np.diagonal(self.whiten_, axis1=1, axis2=2)).sum(1)
        self.offsets_ = np.log(counts / len(x)) + slopes
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Return the class probabilities of rows (n, d)."""
        pairs = zip(self.whiten_, self.means_, strict=True)
        norms = [np.square((x - mean) @ whiten.T).sum(1) for whiten, mean in pairs]
        return softmax(self.offsets_ - 0.5 * np.stack(norms, axis=1), axis=1)


def _classifier(name: str, n: int, n_classes: int, width: int, seed: int) -> Any:
    """Return an unfitted classifier with settings for n rows and ``width`` columns."""
    # Imported here because the import is slow and only labels need these classes.
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    makers: dict[str, Any] = {
        "table": _Table,
        "ordered": _Ordered,
        "linear": LinearDiscriminantAnalysis,
        "quadratic": _Quadratic,
        "logistic": lambda: LogisticRegression(max_iter=1000),
        "neighbors": lambda: KNeighborsClassifier(min(n, max(5, round(0.5 * n**0.5)))),
        "boosting": lambda: _with_radius(
            HistGradientBoostingClassifier(
                max_iter=50,
                max_leaf_nodes=15,
                min_samples_leaf=10,
                learning_rate=0.15,
                l2_regularization=5.0,
                random_state=seed,
            )
        ),
        "trees": lambda: _with_radius(
            # Trees of a single column differ little, so the average of few trees is accurate.
            ExtraTreesClassifier(
                25 if width == 1 else 100,
                max_features=None,
                min_samples_leaf=max(5, n * (n_classes + OF_A_NODE) // LEAF_VALUES),
                random_state=seed,
            )
        ),
    }
    return makers[name]()


def _with_radius(classifier: Any) -> Any:
    """Add the squared norm of the rows as a feature, for labels that depend on a radius."""
    return make_pipeline(FunctionTransformer(_append_radius), classifier)


def _select(scores: Floats, columns: list[int]) -> Floats:
    return scores[:, columns]


def _append_radius(scores: Floats) -> Floats:
    return np.hstack([scores, np.square(scores).sum(1, keepdims=True)])


@dataclass
class _LabelledRows:
    """Normal scores and labels of rows, for the cross-validation of classifiers."""

    scores: Floats
    labels: Labels
    folds: Labels
    log_prior: Floats
    seed: int

    def cross_fit(
        self, name: str, columns: list[list[int]] | None, part: slice = ALL
    ) -> tuple[list[Any], Floats, float, Floats]:
        """Return classifiers, log-posteriors, in-sample information and raw log-posteriors.

        The log-posteriors are computed for held-out rows. The raw log-posteriors have no
        calibration, because permuted labels would need another calibration. The in-sample
        information is NaN for memorising candidates and with ``part``.

        If columns are given for each fold, the classifiers use only these columns. For a fold
        without columns, the prior is predicted. With ``part``, the classifiers are fitted to this
        part of the training rows. The normal scores are computed from the ranks among these rows.
        """
        name, folds, log_prior = name.removesuffix(FEW), self.folds, self.log_prior
        scores, labels = self.scores, self.labels
        probability = np.zeros((len(labels), len(log_prior)))
        fits: list[Any] = []
        training, inside = [], []
        for k, fold in enumerate(np.unique(folds)):
            used = None if columns is None else columns[k]
            out = folds == fold
            inner = np.flatnonzero(~out)
            if part != ALL:
                inner = inner[part]
                # Scores are computed again, because ranks among fewer rows have larger errors.
                scores = _scores_among(self.scores, self.scores[inner])
            fits.append(self._fitted(name, used, scores[inner], labels[inner]))
            training.append(inner)
            probability[out] = _probability(fits[-1], scores[out], len(log_prior))
        as_fitted = _smoothed(probability, log_prior, len(labels))
        posterior, chosen = np.empty_like(as_fitted), [(1.0, 0.0)] * len(fits)
        if name not in AS_FITTED:
            chosen = self._calibrations(probability)
        for k, fold in enumerate(np.unique(folds)):
            out, fits[k] = folds == fold, _Posterior(fits[k], log_prior, len(labels), chosen[k])
            posterior[out] = fits[k].calibrated(probability[out])
        needs_no_in_sample = part != ALL or name in MEMORISING
        for fit, inner in () if needs_no_in_sample else zip(fits, training, strict=True):
            x, y = scores[inner], labels[inner]
            own = fit.log_posterior(x)
            if isinstance(fit.model, _Table):
                own[:, fit.model.classes_] = np.log(fit.model.frequencies(x).clip(1e-300))
            inside.append(float((own[np.arange(len(y)), y] - log_prior[y]).mean()))
        return fits, posterior, float(np.mean(inside)) if inside else math.nan, as_fitted

    def gain_of_parts(self, n_parts: int, name: str, columns: list[list[int]] | None) -> Floats:
        """Return the mean held-out information of each row, for fits to parts of the rows."""
        parts = [slice(k, None, n_parts) for k in range(n_parts)]
        posterior = np.mean([self.cross_fit(name, columns, part)[1] for part in parts], axis=0)
        return posterior[np.arange(len(self.labels)), self.labels] - self.log_prior[self.labels]

    def _fitted(self, name: str, columns: list[int] | None, x: Floats, y: Labels) -> Any:
        """Return a fitted classifier of the given columns, or of all columns for None.

        Without columns or with a single class, the probabilities are constant.
        """
        classes = np.unique(y)
        width = x.shape[1] if columns is None else len(columns)
        if not width:  # the frequencies in all rows, not only in the training rows
            prior = np.exp(self.log_prior)
            return DummyClassifier().fit(prior[:, None], np.arange(len(prior)), prior)
        if len(classes) < 2:
            return DummyClassifier().fit(x, y)
        if name == "quadratic" and width >= len(y):  # the covariances are singular
            name = "linear"
        used = x if columns is None else x[:, columns]
        # Without variation inside classes, linear discriminants do not exist.
        if name == "linear" and not any(np.ptp(used[y == own], axis=0).any() for own in classes):
            name = "quadratic"
        model = _classifier(name, len(y), len(classes), width, self.seed)
        if columns is not None:
            model = make_pipeline(FunctionTransformer(_select, kw_args={"columns": columns}), model)
        return model.fit(x, y)

    def _calibrations(self, probability: Floats) -> list[tuple[float, float]]:
        """Return, for each fold, the calibration with the largest likelihood of the other folds."""
        n, labels, folds, log_prior = len(self.labels), self.labels, self.folds, self.log_prior
        prior = np.exp(log_prior)[labels]
        grid, likelihoods = list(product(STEEPNESS, SHARES)), []
        for steepness in STEEPNESS:
            own = _calibrated(probability, log_prior, steepness, 0.0)[np.arange(n), labels]
            for share in SHARES:
                rest = (1 - _smoothing(n)) * (1 - share)
                likelihoods.append(np.log(rest * own + (1 - rest) * prior))
        found = np.array(likelihoods)
        return [grid[found[:, folds != fold].sum(1).argmax()] for fold in np.unique(folds)]


def _scores_among(scores: Floats, known: Floats) -> Floats:
    """Return normal scores of ranks among the known rows, with linear interpolation."""
    own, found = gaussianize_ranks(torch.from_numpy(known)).numpy(), np.empty_like(scores)
    for k, column in enumerate(scores.T):
        values, first = np.unique(known[:, k], return_index=True)
        found[:, k] = np.interp(column, values, own[first, k])
    return found


def _calibrated(probability: Floats, log_prior: Floats, steepness: float, share: float) -> Floats:
    """Multiply log-ratios to the class frequencies by a factor, and mix with the frequencies.

    If a classifier has a penalty or a wrong model of the classes, its log-ratios can be too small
    or too large. If wrong labels occur in all regions, the probability of a class does not reach 1.
    """
    if steepness != 1:
        ratio = np.log(probability.clip(1e-300)) - log_prior
        probability = softmax(log_prior + steepness * ratio, axis=1)
    return (1 - share) * probability + share * np.exp(log_prior)


class _Posterior:
    """Calibrated and smoothed probabilities of a classifier."""

    def __init__(
        self, model: Any, log_prior: Floats, n: int, calibration: tuple[float, float]
    ) -> None:
        self.model, self.log_prior, self.n, self.calibration = model, log_prior, n, calibration

    def log_posterior(self, x: Floats) -> Floats:
        """Return the log-probabilities of the classes of rows (n, d)."""
        return self.calibrated(_probability(self.model, x, len(self.log_prior)))

    def calibrated(self, probability: Floats) -> Floats:
        """Return the log-probabilities from the probabilities of the classifier."""
        own = _calibrated(probability, self.log_prior, *self.calibration)
        return _smoothed(own, self.log_prior, self.n)


def _probability(model: Any, scores: Floats, n_classes: int) -> Floats:
    """Return the class probabilities, 0 for classes that were not in the training rows."""
    probability = np.zeros((len(scores), n_classes))
    probability[:, model.classes_] = model.predict_proba(scores)
    return probability


def _smoothed(probability: Floats, log_prior: Floats, n: int) -> Floats:
    """Return log-probabilities after mixing with a small fraction of the prior."""
    share = _smoothing(n)
    return np.log((1 - share) * probability + share * np.exp(log_prior))


def _smoothing(n: int) -> float:
    """Return the weight of the prior in predicted probabilities."""
    return min(0.01, 5 / n)
