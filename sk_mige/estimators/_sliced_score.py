"""SlicedScoreMatching: score network trained by sliced score matching."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import torch
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from sk_mige._contexts import building, built_apart, isolated
from sk_mige._warnings import warn_user
from sk_mige.networks import ScoreNetwork
from sk_mige.objectives import FunctionObjective, sliced_score_matching_loss
from sk_mige.score import whitening
from sk_mige.score.outliers import warn_of_outliers
from sk_mige.score.whitening import Whitening
from sk_mige.training import Trainer
from sk_mige.training.data import ArrayDataset
from sk_mige.training.device import available_device, device_of_stored, resolve_device, seeded
from sk_mige.training.net import EncoderNet

from ._base import TRAINING, as_sizes
from ._rows import check_finite, row_chunks, scores_like, to_tensor
from ._score_base import ScoreTransformer, representative_rows
from ._stored import from_numpy, to_numpy, to_stored, to_tensors


class SlicedScoreMatching(ScoreTransformer):
    r"""Score estimator with a network trained by sliced score matching.

    .. math:: J = \mathbb E_{x, v}\big[\tfrac12 \|s(x)\|^2 + v^\top J_s(x)\, v\big],
              \qquad v \in \{-1, 1\}^d

    The loss J of the score s, whose Jacobian is :math:`J_s`, is computed on whitened data. The
    network learns a correction to the score of a standard Gaussian. For many samples of a density
    with fine structure, the network can be more accurate than a kernel estimator, but takes longer
    to train.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int or int, default=(128, 128)
        Widths of the hidden layers, which have SiLU activations. A number means one hidden layer.
    n_directions : int, default=1
        Number of random directions v for each sample and step.
    max_epochs : int, default=100
        Number of passes over the data.
    batch_size : int, default=128
        Largest number of rows in a batch.
    lr : float, default=1e-3
        Learning rate of Adam.
    device : str or torch.device, default="auto"
        Device of the network. The value "auto" means CUDA if available, else the CPU.
    verbose : int, default=0
        Verbosity level. With 1, a progress bar is shown. With 2, a line is printed for each epoch.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for all random numbers of the fit.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The skorch net that trained the network.
    history_ : list of dict
        One record for each epoch, with ``epoch``, ``train_loss`` and ``dur`` in seconds.
    n_iter_ : int
        Number of finished epochs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has feature names.

    See Also
    --------
    SSGEScoreEstimator : Kernel score estimator with a closed-form solution.

    Notes
    -----
    With few rows, the network overfits, without a warning. For 500 rows of a standard Gaussian with
    20 features, the relative error is about 1 after 100 epochs and 0.01 after 10 epochs. An
    estimate of zero has a relative error of 1 and a score of 0. Choose ``max_epochs`` by
    :meth:`score` on held-out rows. If the score is negative, an estimate of zero is more accurate.

    References
    ----------
    Y. Song, S. Garg, J. Shi, S. Ermon, "Sliced Score Matching: A Scalable Approach to Density and
    Score Estimation", UAI 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige import SlicedScoreMatching
    >>> X = np.random.default_rng(0).normal(3.0, 2.0, size=(500, 2))
    >>> estimator = SlicedScoreMatching(max_epochs=5, random_state=0).fit(X)
    >>> scores = estimator.transform(X)  # the truth is -(x - 3) / 4
    >>> bool(np.corrcoef(scores.ravel(), -(X - 3).ravel())[0, 1] > 0.9)
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "n_directions": [Interval(Integral, 1, None, closed="left")],
        **TRAINING,
    }

    net_: EncoderNet
    _whitening: Whitening

    def __init__(
        self,
        *,
        hidden_layer_sizes: Sequence[int] | int = (128, 128),
        n_directions: int = 1,
        max_epochs: int = 100,
        batch_size: int = 128,
        lr: float = 1e-3,
        device: str | torch.device = "auto",
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_directions = n_directions
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: None = None) -> Self:
        """Fit to samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.

        Warns
        -----
        ConvergenceWarning
            If the loss or the weights became infinite or NaN. Training stops, and the last weights
            with a finite loss are kept. The warning is also given if the loss of the last epoch is
            positive and higher than the loss before the training.
        UserWarning
            If a few outliers dominate the scale of a feature, or if Ctrl-C ended the training.
            After Ctrl-C, the estimator keeps the current weights. Rows without a density cause the
            same warnings as in :meth:`SSGEScoreEstimator.fit`.
        """
        X = self._check_training(X)
        rng = check_random_state(self.random_state)
        device = resolve_device(self.device)
        x = to_tensor(X, torch.device("cpu"))
        rows = torch.from_numpy(representative_rows(len(x), x.shape[1], 0, rng))
        warn_of_outliers(x[rows])
        self._whitening, _ = whitening(x[rows])
        white = self._whitening(x).to(torch.float32)
        self._seed = int(rng.randint(2**31 - 1))
        self._sizes = as_sizes(self.hidden_layer_sizes)
        with seeded(self._seed, device):
            with building(device):
                trainer = self._make_trainer(device)
            self.history_ = trainer.run(ArrayDataset(white), epochs=self.max_epochs)
        self.n_iter_ = len(self.history_)
        last = self.history_[-1]["train_loss"] if self.history_ else 0.0
        # A score of zero has the loss 0. Outliers increase the loss before the training.
        before = float(white.double().square().sum(1).mean()) / 2 - white.shape[1]
        if last > max(before, 0.0):
            warn_user(
                f"the loss is {last:.3g} in the last epoch, and was {before:.3g} before training. "
                f"Training has diverged with lr={self.lr:g}: pass a smaller lr",
                ConvergenceWarning,
            )
        self._n_features_out = self.n_features_in_
        return self

    def _make_trainer(self, device: torch.device) -> Trainer:
        network = ScoreNetwork(self.n_features_in_, self._sizes, self.n_directions)
        trainer = Trainer(
            network.float(),  # for every default dtype of torch
            FunctionObjective(sliced_score_matching_loss),
            lr=self.lr,
            batch_size=self.batch_size,
            device=device,
            seed=self._seed,
            verbose=self.verbose,
            name=type(self).__name__,
        )
        self.net_ = trainer.net
        return trainer

    def transform(self, X: Any) -> Any:
        r"""Return the scores :math:`\nabla \log q` at the rows of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Scores in input coordinates, in float32 if X is float32, else in float64.
        """
        X = self._check_query(X)
        network, device = self._network()
        white = self._whitening.to(device)
        with isolated(device), torch.no_grad():
            parts = [
                white.scores(network.score(white(x).to(torch.float32)).to(white.mean.dtype))
                for _, x in row_chunks(X, self._width, device)
            ]
        return scores_like(torch.cat(parts), X)

    def score(self, X: Any, y: None = None) -> float:
        """Return the negative Hyvärinen loss on held-out samples, with the exact divergence.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Held-out samples of the density.
        y : None
            Ignored.

        Returns
        -------
        float
            Negative loss. Higher values are better. Values are comparable with the values of
            :meth:`SSGEScoreEstimator.score`.
        """
        X = self._check_query(X)
        network, device = self._network()
        white = self._whitening.to(device)
        assert white.units is not None
        gains = white.scores(torch.eye(X.shape[1], dtype=torch.float64, device=device))
        divergence, total = network.divergence(gains @ gains.mT), 0.0
        # With more than two hidden layers, the divergence needs a matrix for each row.
        width = max(self._width, max(self._sizes) * self._sizes[-1] if len(self._sizes) > 2 else 1)
        with isolated(device), torch.no_grad():
            for _, x in row_chunks(X, width, device):
                points = white(x).to(torch.float32)
                total += float(0.5 * white.scores(network.score(points).double()).square().sum())
                total += float(divergence(points).sum())
        check_finite(torch.tensor(total, dtype=torch.float64, device="cpu"))
        return -total / int(X.shape[0])

    def _network(self) -> tuple[ScoreNetwork, torch.device]:
        device = available_device(self.device)
        network: ScoreNetwork = self.net_.module_.to(device).eval()
        return network, device

    @property
    def _width(self) -> int:
        return max(self.n_features_in_, *self._sizes, 1)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickling, with NumPy arrays that load without a GPU."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "net_" in state:
            state["_stored_weights"] = to_numpy(state.pop("net_").module_)
            state["_whitening"] = to_stored(self._whitening)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the network on ``device``, or on "auto" if ``device`` is not available."""
        state = dict(state)
        weights = state.pop("_stored_weights", None)
        super().__setstate__(state)
        if weights is not None:
            self._validate_params()  # parameters can have been set after fit
            self._whitening = to_tensors(state["_whitening"], torch.device("cpu"))
            with built_apart(self._seed):
                self._make_trainer(device_of_stored(self.device))
                from_numpy(self.net_.module_, weights)
