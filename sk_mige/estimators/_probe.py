"""NonLinearProbe: what a representation is worth to a small classifier."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import LRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sk_mige.training import (
    NonFiniteLossError,
    available_device,
    build_net,
    make_optimizer,
    resident,
    resolve_device,
    seeded,
)
from sk_mige.training.data import ArrayDataset
from sk_mige.training.device import built_apart
from sk_mige.training.progress import progress_callbacks

from ._doc_link import DocLinkMixin
from ._rows import check_float32_resolution, check_rows, to_rows
from ._targets import check_classes, check_targets, find_classes

__all__ = ["NonLinearProbe"]


CHUNK = 4096


class NonLinearProbe(DocLinkMixin, ClassifierMixin, BaseEstimator):
    r"""Classifier with one hidden layer, by which representations are compared.

    The probe of Deep InfoMax and MIGE, trained on features that stay as they are:

    .. math:: p(y | x) = \mathrm{softmax}\big(V\, \mathrm{dropout}(\mathrm{ReLU}(
              \mathrm{BN}(W x))) + b\big),

    by Adam, with a learning rate that falls to a tenth after a third, and again after two thirds
    of the epochs.

    Parameters
    ----------
    hidden_size : int, default=200
        Width of the hidden layer.
    dropout : float, default=0.1
        Fraction of hidden units that are silenced at each step of training.
    max_epochs : int, default=150
        Passes over the data. The default is Deep InfoMax's first 150, whose learning rate falls
        after 50 and 100.
    batch_size : int, default=64
        Rows in a batch, at most: rows are dealt to batches of equal size.
    lr : float, default=1e-4
        Learning rate of Adam.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is a GPU, else the CPU.
    verbose : int, default=0
        1 shows a bar with the time left, 2 prints a line an epoch.
    random_state : int, RandomState or None, default=None
        Seeds weights, batches and dropout; torch's and NumPy's own generators are not touched.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    module_ : torch.nn.Module
        The trained network, from rows to logits.
    history_ : list of dict
        One record an epoch: its number, ``train_loss`` in nats and ``dur`` in seconds.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where they are strings.

    See Also
    --------
    MIGEEncoder : Learns representations, and returns those of its inner layers as well.

    References
    ----------
    R. D. Hjelm et al., "Learning deep representations by mutual information estimation and
    maximization", ICLR 2019.

    Examples
    --------
    A cell of a table of representations is a pipeline's score:

    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sk_mige import MIGEEncoder, NonLinearProbe
    >>> X, y = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(16, max_epochs=2, random_state=0)
    >>> probe = NonLinearProbe(max_epochs=10, lr=1e-2, random_state=0)
    >>> pipeline = make_pipeline(encoder, probe).fit(X[:1000], y[:1000])
    >>> pipeline.score(X[1000:], y[1000:]) > 0.8
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "device": [str, torch.device],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        hidden_size: int = 200,
        *,
        dropout: float = 0.1,
        max_epochs: int = 150,
        batch_size: int = 64,
        lr: float = 1e-4,
        device: str | torch.device = "auto",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> Self:
        """Train the classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; dense and finite.
        y : array-like of shape (n_samples,)
            Labels, of two classes at least.

        Returns
        -------
        NonLinearProbe
            This estimator.

        Raises
        ------
        ValueError
            For non-finite or too few rows, for targets that are no classes, and when the loss
            became infinite or NaN.
        """
        X = check_rows(self, X, reset=True)
        check_float32_resolution(X)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        y = check_targets(self, X, y, "classification")
        self.classes_ = find_classes(y)
        device = resolve_device(self.device)
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self._sizes = (X.shape[1], int(self.hidden_size), len(self.classes_), float(self.dropout))
        with seeded(self._seed, device):
            self.module_ = _network(*self._sizes).to(device)
            net = build_net(
                self.module_,
                _log_loss,
                optimizer=make_optimizer("adam", device),
                lr=self.lr,
                batch_size=int(self.batch_size),
                device=device,
                generator=torch.Generator().manual_seed(self._seed),
                callbacks=self._callbacks(),
                verbose=max(0, int(self.verbose) - 1),  # without, lines are not printed
            )
            try:
                classes = check_classes(y, self.classes_)
                data = ArrayDataset(resident(to_rows(X), device), classes)
                net.partial_fit(data, epochs=int(self.max_epochs))
            except NonFiniteLossError as error:
                raise ValueError(
                    f"{error}: a smaller lr, or a scaler before the probe, may help"
                ) from error
        self.module_.eval()
        kept = ("epoch", "train_loss", "dur")
        self.history_ = [{key: row[key] for key in kept} for row in net.history]
        self.n_iter_ = len(self.history_)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        X = check_rows(self, X, reset=False, min_rows=1)
        device = next(self.module_.parameters()).device
        data = ArrayDataset(X)
        with torch.inference_mode():
            chunks = [
                # By number, which copies: the rows of a data frame are read-only.
                self.module_(data[np.arange(start, min(start + CHUNK, len(X)))][0].to(device))
                for start in range(0, len(X), CHUNK)
            ]
            probabilities: NDArray[np.float64] = torch.cat(chunks).double().softmax(1).cpu().numpy()
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        labels: NDArray[Any] = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[labels])

    def _callbacks(self) -> list[Any]:
        falls = sorted({-(-int(self.max_epochs) * third // 3) for third in (1, 2)})
        schedule = LRScheduler("MultiStepLR", milestones=falls, gamma=0.1)
        shown = progress_callbacks(self.verbose, self.max_epochs, type(self).__name__)
        return [schedule, *shown]

    def __getstate__(self) -> dict[str, Any]:
        """Weights as NumPy arrays, which load on machines without a GPU."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "module_" in state:
            weights = state.pop("module_").state_dict()
            state["_stored_weights"] = {key: part.cpu().numpy() for key, part in weights.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("_stored_weights", None)
        super().__setstate__(state)
        if weights is not None:
            device = available_device(self.device)
            with built_apart(self._seed):
                self.module_ = _network(*self._sizes).to(device).eval()
            self.module_.load_state_dict({key: torch.tensor(part) for key, part in weights.items()})


def _network(n_features: int, hidden_size: int, n_classes: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        # Batch norm subtracts the mean, so a bias before it would never be felt.
        nn.Linear(n_features, hidden_size, bias=False),
        nn.BatchNorm1d(hidden_size),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_size, n_classes),
    ).float()  # whatever torch's default dtype is


def _log_loss(code: Any, x: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(code, y)  # the code is the logits
