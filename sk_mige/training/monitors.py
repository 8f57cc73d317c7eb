"""Callbacks that evaluate representations during training, and nearest-neighbour votes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils import gen_batches

from sk_mige._sizes import as_size

from .device import seeded
from .items import ItemRows
from .schedules import Shown
from .targets import check_targets, class_indices, find_classes, split_rows

# Queries are processed in parts. A part has at most PART_VALUES votes and neighbours, but at least
# LEAST_QUERIES queries.
PART_VALUES, LEAST_QUERIES = 2**20, 256
# Fraction of the rows on which a classifier is tested.
TEST_SIZE = 0.3
# Pattern of valid names of records, which excludes the names that skorch and the trainer use.
RECORD = re.compile(
    r"(?!(epoch|train_loss|valid_loss|batches|dur|lr)$)(?!.*_(best|batch_count)$).+"
)


class Monitor(Shown):
    """Base class of callbacks that record a number computed from z of given rows."""

    X: Any
    every: Any
    name: Any

    def __sklearn_clone__(self) -> Monitor:
        """Return a copy that shares X and y, which may be large."""
        return type(self)(**self.get_params(deep=False))

    def on_train_begin(self, net: Any, X: Any = None, **kwargs: Any) -> None:
        """Check the parameters, and read the rows and their targets."""
        try:
            self._check_parameters(net)
            self._read(net)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{type(self).__name__}: {error}") from error

    def _check_parameters(self, net: Any) -> None:
        as_size("every", self.every)
        if not isinstance(self.name, str) or not RECORD.fullmatch(self.name):
            raise ValueError(
                f"name must be a string other than the keys of a history, got {self.name!r}: use a "
                "name such as 'accuracy'"
            )
        names = [other.name for _, other in net.callbacks_ if isinstance(other, Monitor)]
        if names.count(self.name) > 1:
            raise ValueError(
                f"two callbacks record name={self.name!r}: pass another name to one of them"
            )

    def _read(self, net: Any) -> None:
        """Read the rows, and raise an error unless the encoder accepts the rows."""
        try:
            self.rows_ = net.read_rows(self.X)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{str(error).strip().rstrip('.')}. Pass rows like the rows that the encoder "
                "receives in fit. In a pipeline, transform the rows by the steps before the encoder"
            ) from error

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compute and record the number after every ``every`` epochs."""
        if net.finished_epochs % self.every:
            return
        # Modules may draw from the global generators even in evaluation mode.
        with seeded(0, torch.device(net.device)):
            z = net.codes(self.rows_).double().numpy()
        finite = bool(np.isfinite(z).all())
        net.history.record(self.name, float(self.measure(z)) if finite else float("nan"))

    def measure(self, z: NDArray[np.float64]) -> float:
        """Return the number to record for the codes (n, K)."""
        raise NotImplementedError


class OnlineProbe(Monitor):
    """Accuracy of a linear probe, recorded during training.

    After every ``every`` epochs, ``LogisticRegression`` is fitted to the standardised
    representations of a random 70 % of the rows. The accuracy on the remaining 30 % of the rows is
    recorded in ``history_``. The callback does not change the training of the encoder.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
        Labelled rows, in the same form as the training data of the encoder. In a pipeline, pass the
        output of the steps before the encoder.
    y : array-like of shape (n_samples,), default=None
        Class labels. None means the targets of the data set X.
    every : int, default=1
        Number of epochs between two records.
    name : str, default="probe_accuracy"
        Key of the accuracy in ``history_``. The accuracy is a fraction from 0 to 1.

    Raises
    ------
    ValueError
        If ``every`` or ``name`` is invalid, or if X differs from the training rows in width,
        shape, or names of columns. The error is also raised if labels are missing, are not classes,
        or belong to a class with a single row.

    See Also
    --------
    OnlineKNN : Accuracy of weighted nearest neighbours.
    EffectiveRank : Effective number of directions in which the codes vary.

    Notes
    -----
    Copies of the callback share X and y. Storing an encoder also stores X and y of the callbacks.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.training import OnlineProbe
    >>> X, y = load_digits(return_X_y=True)
    >>> probe = OnlineProbe(X[:500], y[:500], every=2)
    >>> encoder = MIGEEncoder(16, max_epochs=4, callbacks=[probe], random_state=0).fit(X)
    >>> ["probe_accuracy" in record for record in encoder.history_]
    [False, True, False, True]
    """

    def __init__(
        self, X: Any, y: Any = None, *, every: int = 1, name: str = "probe_accuracy"
    ) -> None:
        self.X = X
        self.y = y
        self.every = every
        self.name = name

    def _read(self, net: Any) -> None:
        """Read the rows and their labels, and split them."""
        super()._read(net)
        rows, y = self.rows_, self.y
        y = rows.targets() if y is None and isinstance(rows, ItemRows) else y
        y = check_targets(self, rows, y, "classification")
        self.classes_ = find_classes(y)
        self.labels_ = class_indices(y, self.classes_)
        self.train_, self.test_ = split_rows(
            "the test", len(rows), TEST_SIZE, 0, self.labels_, self.classes_
        )

    def measure(self, z: NDArray[np.float64]) -> float:
        """Return the accuracy on the test rows."""
        found = self.labels(z[self.train_], self.labels_[self.train_], z[self.test_])
        return float((found == self.labels_[self.test_]).mean())

    def labels(self, z: NDArray[Any], y: NDArray[Any], queries: NDArray[Any]) -> NDArray[Any]:
        """Return the predicted labels of queries, given codes z with labels y."""
        from sklearn.linear_model import LogisticRegression  # the import takes time

        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(z, y)
        return model.predict(queries)


class OnlineKNN(OnlineProbe):
    """Accuracy of weighted nearest neighbours, recorded during training.

    The callback works like :class:`OnlineProbe`, but the classifier is
    :class:`sk_mige.WeightedKNNClassifier`. The classifier uses 200 neighbours and temperature 0.1.
    With fewer than 200 training rows, all training rows are neighbours.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
        Labelled rows, in the same form as the training data of the encoder.
    y : array-like of shape (n_samples,), default=None
        Class labels. None means the targets of the data set X.
    every : int, default=1
        Number of epochs between two records.
    name : str, default="knn_accuracy"
        Key of the accuracy in ``history_``. The accuracy is a fraction from 0 to 1.

    See Also
    --------
    OnlineProbe : Accuracy of a linear probe.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.training import OnlineKNN
    >>> X, y = load_digits(return_X_y=True)
    >>> callbacks = [OnlineKNN(X[:500], y[:500])]
    >>> encoder = MIGEEncoder(16, max_epochs=2, callbacks=callbacks, random_state=0).fit(X)
    >>> encoder.history_[-1]["knn_accuracy"] > 0.5
    True
    """

    def __init__(
        self, X: Any, y: Any = None, *, every: int = 1, name: str = "knn_accuracy"
    ) -> None:
        super().__init__(X, y, every=every, name=name)

    def labels(self, z: NDArray[Any], y: NDArray[Any], queries: NDArray[Any]) -> NDArray[Any]:
        """Return the class with the most votes for each query."""
        return np.concatenate([votes.argmax(1) for votes in neighbour_votes(z, y, queries)])


class EffectiveRank(Monitor):
    r"""Effective rank of the representations (RankMe), recorded during training.

    .. math:: r = \exp\Big(-\sum_k p_k \log p_k\Big), \qquad p_k = \frac{s_k}{\sum_l s_l}

    The numbers :math:`s_k` are the singular values of the centred representations. The rank is K if
    all K components are uncorrelated and have the same variance. The rank is 1 if the
    representations vary along only one direction. A decreasing rank can indicate a collapse. If
    representations differ only by rounding errors, the rank is 0.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
        Rows, in the same form as the training data of the encoder. The number of rows should be
        several times the number of components.
    every : int, default=1
        Number of epochs between two records.
    name : str, default="effective_rank"
        Key of the effective rank in ``history_``.

    See Also
    --------
    OnlineProbe : Accuracy of a linear probe.

    Notes
    -----
    With ``InfoMax(output_scale="input")``, each component has variance 1 during training. After
    training, ``fit`` rescales z, so the effective rank of ``transform(X)`` differs from the record.

    References
    ----------
    Q. Garrido, R. Balestriero, L. Najman, Y. LeCun, "RankMe: Assessing the Downstream Performance
    of Pretrained Self-Supervised Representations by Their Rank", ICML 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.training import EffectiveRank
    >>> X, _ = load_digits(return_X_y=True)
    >>> callbacks = [EffectiveRank(X[:500])]
    >>> encoder = MIGEEncoder(16, max_epochs=2, callbacks=callbacks, random_state=0).fit(X)
    >>> 1 < encoder.history_[-1]["effective_rank"] <= 16
    True
    """

    def __init__(self, X: Any, *, every: int = 1, name: str = "effective_rank") -> None:
        self.X = X
        self.every = every
        self.name = name

    def measure(self, z: NDArray[np.float64]) -> float:
        """Return the exponential of the entropy of the singular values."""
        values = np.linalg.svd(z - z.mean(0), compute_uv=False)
        # Equal rows differ by rounding errors, because networks compute in float32.
        rounding = 4 * np.finfo(np.float32).eps * np.abs(z).max() * np.sqrt(z.size)
        values = values[values > rounding]
        return float(np.exp(entropy(values))) if len(values) else 0.0


def neighbour_votes(
    known: NDArray[Any],
    labels: NDArray[Any],
    queries: NDArray[Any],
    *,
    n_neighbors: int = 200,
    temperature: float = 0.1,
) -> Iterator[NDArray[np.float64]]:
    r"""Yield the fraction of nearest-neighbour votes for each class, for parts of the queries.

    A neighbour votes for its class with weight :math:`\exp(s / T)`, where s is the cosine
    similarity of neighbour and query.

    Parameters
    ----------
    known : ndarray of shape (n, K)
        Codes with labels.
    labels : ndarray of shape (n,)
        Class indices, from 0 to the number of classes minus 1.
    queries : ndarray of shape (m, K)
        Codes without labels.
    n_neighbors : int, default=200
        Number of neighbours. If there are fewer than ``n_neighbors`` codes, all codes are
        neighbours.
    temperature : float, default=0.1
        Temperature T.

    Yields
    ------
    ndarray of shape (rows, n_classes)
        Fractions of votes for the next queries. Each row sums to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige.training.monitors import neighbour_votes
    >>> (votes,) = neighbour_votes(np.eye(2), np.array([0, 1]), np.array([[5.0, 0.1]]))
    >>> votes.round(3)
    array([[1., 0.]])
    """
    from sklearn.neighbors import NearestNeighbors  # the import takes time

    known, queries = unit_rows(known), unit_rows(queries)
    search = NearestNeighbors(n_neighbors=min(n_neighbors, len(known)), algorithm="brute")
    zero = ~known.any(1)
    if zero.any():  # with an extra axis, rows of zeros have cosine 0
        known, queries = np.c_[known, zero], np.c_[queries, np.zeros_like(queries[:, 0])]
    search.fit(known)
    n_classes = int(labels.max()) + 1
    size = max(LEAST_QUERIES, PART_VALUES // (n_classes + n_neighbors))
    for part in gen_batches(len(queries), size):
        distances, indices = search.kneighbors(queries[part])
        squares = np.square(distances, dtype=np.float64)  # 2 - 2 s
        weights = np.exp((squares[:, :1] - squares) / (2 * temperature))
        votes = np.zeros((len(indices), n_classes))
        np.add.at(votes, (np.arange(len(indices))[:, None], labels[indices]), weights)
        votes /= weights.sum(1, keepdims=True)
        yield votes


def unit_rows(rows: NDArray[Any]) -> NDArray[Any]:
    """Divide rows of any magnitude by their norms, and return rows of zeros unchanged."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    return normalize(rows / np.where(largest > 0, largest, 1))
