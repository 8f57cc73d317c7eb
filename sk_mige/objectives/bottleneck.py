"""Loss and description of the information bottleneck."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sk_mige._sizes import as_number
from sk_mige._warnings import warn_user
from sk_mige.networks import HEADS, Code

from .base import Information, InformationTerm, Objective, Problem
from .information import INFORMATIONS, MIGE, InformationDescription, LearnedParts
from .likelihoods import ClassLikelihood, GaussianLikelihood

# Default number of draws of z for each x, without a closed form of q(z | x).
SCORE_DRAWS = 16
# Largest step of log β in a batch. Far from the limit, β changes by a factor e in 20 batches.
DUAL_RATE = 0.05
LOG_BETAS = (math.log(1e-7), math.log(1e3))
# Largest multiple of max_information that the information can reach without a warning.
TOLERANCE = 1.1


class BottleneckLoss(Objective):
    r"""Loss of the information bottleneck, :math:`-\mathbb{E}\log p(y | z) + \beta\, I(z; x)`.

    With ``max_information`` c, the problem is :math:`\min -\mathbb{E}\log p(y | z)` subject to
    :math:`I(z; x) \le c`. The weight β is the dual variable of the constraint. The weight increases
    while the information exceeds c, and decreases otherwise:

    .. math:: \log\beta \leftarrow \log\beta + \eta\, \frac{I - c}{|I| + c}, \qquad \eta = 0.05 .

    A code of :class:`sk_mige.networks.ConditionedHead` contains a weight β, which replaces
    ``beta``. The loss of such a code is divided by :math:`1 + \beta / \beta_m`, where
    :math:`\beta_m` is the parameter ``beta``.

    Parameters
    ----------
    likelihood : torch.nn.Module
        Module ``likelihood(prediction, y)`` that returns the mean negative log-likelihood in nats.
    information : InformationTerm
        Estimate of I(x; z), such as :class:`MIGETerm`, :class:`VariationalTerm` or
        :class:`CriticTerm`.
    beta : float
        Weight of one nat of information. With ``max_information``, ``beta`` is the initial value of
        the dual variable. For codes with a weight β, ``beta`` is the geometric mean of the smallest
        and the largest β.
    max_information : float, default=None
        Upper limit c of I(z; x) in nats. The code must be Gaussian, because the upper bound of I(z;
        x) is valid for Gaussian codes.

    Attributes
    ----------
    ramp : float
        Factor by which β is multiplied in the next batch. :class:`sk_mige.training.BetaWarmup` sets
        the factor.
    current_beta : float
        Current weight β, without the factor ``ramp``. The weight is constant without
        ``max_information``, and a dual variable otherwise.
    reached : Tensor or None
        Moving average of the upper bound of I(z; x) over about 20 batches, in nats. The value is
        None without ``max_information``.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import BottleneckLoss, ClassLikelihood, MIGETerm
    >>> from sk_mige.score import ssge
    >>> objective = BottleneckLoss(ClassLikelihood(), MIGETerm(ssge), beta=0.0)
    >>> code = Code(torch.zeros(4, 2), prediction=torch.zeros(4, 2))
    >>> objective(code, torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))  # log 2
    tensor(0.6931)
    """

    log_beta: Tensor
    reached: Tensor

    def __init__(
        self,
        likelihood: nn.Module,
        information: InformationTerm,
        beta: float,
        *,
        max_information: float | None = None,
    ) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.information = information
        self.classifies = isinstance(likelihood, ClassLikelihood)
        self.beta = as_number("beta", beta, closed="left")
        self.max_information = max_information
        self.ramp = 1.0
        self.ranged = False
        if max_information is not None:
            self.max_information = as_number("max_information", max_information)
            start = torch.tensor(beta, dtype=torch.float32).log()
            # Multiplicative steps cannot increase a β of 0.
            self.register_buffer("log_beta", start.clamp(*LOG_BETAS))
            self.register_buffer("reached", torch.tensor(math.nan))

    @property
    def current_beta(self) -> float:
        """Current weight of one nat of information, without the factor ``ramp``."""
        return self.beta if self.max_information is None else float(self.log_beta.exp())

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of a batch, with a surrogate of the information."""
        loss = self.held_out(code, x, y)
        # The dual variable stays a tensor, because conversion to a float would wait for a GPU.
        limited = self.max_information is not None
        adjusted = self.log_beta.exp() if limited else code.beta
        beta = self.ramp * (self.beta if adjusted is None else adjusted)
        information, own_loss = None, None
        if self.ramp > 0 and (self.beta > 0 or limited):
            information, own_loss = self.information(code, x, y)
        if limited:
            known = information if self.information.is_upper_bound else None
            self._adjust(self.information.upper_bound(code, y) if known is None else known)
        if information is not None:
            loss = loss + beta * information
        if code.beta is not None:
            self.ranged = True
            loss = loss / (1 + code.beta / self.beta)
        return loss if own_loss is None else loss + own_loss

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the negative log-likelihood, without the surrogate of the information."""
        assert code.prediction is not None
        return self.likelihood(code.prediction, y)

    def continue_from(self, previous: Objective) -> None:
        """Reuse the learned parts, and the dual variable if both objectives have a limit c."""
        super().continue_from(previous)
        assert isinstance(previous, BottleneckLoss)
        if self.max_information is not None and previous.max_information is not None:
            self.log_beta, self.reached = previous.log_beta, previous.reached

    def fitted_attributes(self) -> dict[str, float]:
        """Return β and the information, and warn if the information exceeds ``max_information``."""
        beta = {"beta_": self.current_beta * (1.0 if self.ranged else self.ramp)}
        if self.max_information is None:
            return beta
        information = float(self.reached)
        if information > TOLERANCE * self.max_information:
            warn_user(
                f"I(z; x) is {information:.3g} nats at the end of training, above "
                f"max_information={self.max_information:g}: train for more epochs, or start from a "
                f"larger beta than {self.beta:g}",
                ConvergenceWarning,
            )
        return {**beta, "information_": information}

    def _adjust(self, information: Tensor) -> None:
        """Update the dual variable, except if the information is not finite."""
        information = information.detach().float()
        known = torch.where(self.reached.isfinite(), self.reached, information)
        self.reached = known.lerp(information, DUAL_RATE)
        assert self.max_information is not None
        excess = (information - self.max_information) / (information.abs() + self.max_information)
        self.log_beta += DUAL_RATE * torch.nan_to_num(excess.float())
        self.log_beta.clamp_(*LOG_BETAS)


class InformationBottleneck(InformationDescription):
    r"""Information bottleneck: predict y from z, and limit the information about x in z.

    .. math:: \min_\phi\; -\mathbb{E}\log p(y \mid z) + \beta\, I(z; x)

    With :math:`\beta = (\beta_0, \beta_1)`, a single run trains encoders for all β in the range:

    .. math:: \min_\phi\; \mathbb{E}_\beta\, \frac{-\mathbb{E}\log p(y \mid z)
              + \beta\, I_\beta(z; x)}{1 + \beta / \sqrt{\beta_0 \beta_1}}, \qquad
              \log\beta \sim U(\log\beta_0, \log\beta_1) .

    ``MIGEEncoder(mode=InformationBottleneck(...))`` is a classifier or a regressor.
    ``mode="ib"`` is a shorthand for ``mode=InformationBottleneck()``.

    Parameters
    ----------
    information : str, MIGE, Critic, Variational, Information or callable, default="mige"
        Estimator of I(z; x). The name "mige" means :class:`MIGE`, and the name "variational" means
        :class:`Variational`. The name of a bound, such as "infonce", means :class:`Critic`. A
        callable ``information(code, x, y)`` returns the scalar tensor to be minimised, in nats.
    head : {"gaussian", "deterministic", "implicit"}, default="gaussian"
        Distribution of z given x. With "gaussian", z is drawn from a Gaussian with a learned mean
        and scale. With "deterministic", z is the encoder's output. With "implicit", a network
        transforms noise to z (:class:`sk_mige.networks.ImplicitHead`), and q(z | x) is unknown.
        With :class:`MIGE`, use an implicit head for at most ``n_draws`` components, because the
        draws are the data for the scores of q(z | x).
    n_draws : int, default=None
        Number of draws of z for each row and training step. None means 16 for ``head="implicit"``
        and for ``MIGE(conditional="score")``, else 1.
    beta : float, default=1e-3
        Weight of one nat of information about x, relative to one nat of log-likelihood. If ``beta``
        is large from the first epoch, z can become constant and stay constant. Use the callback
        :class:`sk_mige.training.BetaWarmup` to increase β gradually.

        With a pair (low, high) of positive weights, one encoder is trained for all weights in the
        range. The method ``at_beta`` of the fitted encoder returns an encoder for a single weight.
        ``transform`` and ``predict`` use the geometric mean of ``low`` and ``high``.
    max_information : float, default=None
        Upper limit of I(z; x) in nats. With a limit, ``beta`` is the initial value of the weight β.
        Each batch adjusts β until an upper bound of I(z; x) meets the limit. With
        ``MIGE(marginal="classes")``, the limit applies to the information within classes. A limit
        requires ``head="gaussian"`` and a single ``beta``.
    task : {"classification", "regression"}, default="classification"
        Kind of task: y holds class labels for classification, and real values for regression.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the cross-entropy, from 1e-9 to 1e9. With "balanced", the weights
        are inversely proportional to the class frequencies. Class weights do not apply to the
        information.
    label_smoothing : float, default=0.0
        Fraction of each target that is spread over all classes, for classification.
    confidence_penalty : float, default=0.0
        Weight of the entropy of the predicted probabilities, which is subtracted from the loss, for
        classification.
    n_prediction_samples : int, default=12
        Number of draws of z over which predictions are averaged. With 0 draws, predictions use the
        mean of z. ``n_prediction_samples`` can be changed after ``fit``.

    See Also
    --------
    InfoMax : Objective without targets.
    MIGE : Gradient of information by score estimation.

    Notes
    -----
    With ``beta=(low, high)``, each batch has one β, because the marginal of z depends on β. In a
    batch with several β, the entropy of z would be the entropy of a mixture:

    .. math:: H(z) = H(z \mid \beta) + I(z; \beta) .

    Training with several β in a batch would therefore also minimise I(z; β).

    The divisor :math:`1 + \beta/\sqrt{\beta_0\beta_1}` does not change the optimal encoder for any
    β. Without the divisor, batches with a large β would dominate the updates of the weights. All β
    share the critic of :class:`Critic` and the learned prior of :class:`Variational`. A shared
    critic or prior can give a looser bound than a critic or prior for a single β. The optimal
    variance of a regression likelihood depends on β. With a range of β, the variance is therefore
    computed from the mean squared error of the batch.

    References
    ----------
    A. A. Alemi, I. Fischer, J. V. Dillon, K. Murphy, "Deep variational information bottleneck",
    ICLR 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import InformationBottleneck, MIGEEncoder
    >>> X, y = load_digits(return_X_y=True)
    >>> mode = InformationBottleneck(beta=1e-2, n_prediction_samples=4)
    >>> encoder = MIGEEncoder(8, mode=mode, max_epochs=5, random_state=0)
    >>> encoder.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.8
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "information": [StrOptions(set(INFORMATIONS)), Information, callable],
        "head": [StrOptions(set(HEADS) - {"standardizing"})],
        "n_draws": [Interval(Integral, 1, None, closed="left"), None],
        "beta": [Interval(Real, 0, None, closed="left"), tuple, list],
        "max_information": [Interval(Real, 0, None, closed="neither"), None],
        "task": [StrOptions({"classification", "regression"})],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "confidence_penalty": [Interval(Real, 0, None, closed="left")],
        "n_prediction_samples": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        information: Any = "mige",
        *,
        head: str = "gaussian",
        n_draws: int | None = None,
        beta: float | tuple[float, float] = 1e-3,
        max_information: float | None = None,
        task: str = "classification",
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        confidence_penalty: float = 0.0,
        n_prediction_samples: int = 12,
    ) -> None:
        self.information = information
        self.head = head
        self.n_draws = n_draws
        self.beta = beta
        self.max_information = max_information
        self.task = task
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.confidence_penalty = confidence_penalty
        self.n_prediction_samples = n_prediction_samples

    def check(self) -> None:
        """Raise ValueError for parameters that are invalid or contradict each other."""
        self._validate_params()
        self._check_betas()
        head = HEADS[self.head]
        if self.n_draws is not None and not head.stochastic:
            raise ValueError(
                f"n_draws={self.n_draws} is for stochastic heads, got head={self.head!r}: use "
                "n_draws=None, or head='gaussian'"
            )
        if self.max_information is not None and not head.closed_form:
            raise ValueError(
                f"max_information={self.max_information!r} needs an upper bound of I(z; x), which "
                f"only head='gaussian' has; got head={self.head!r}: use head='gaussian', or "
                "max_information=None"
            )
        if self.task == "regression":
            for name in ("class_weight", "label_smoothing", "confidence_penalty"):
                if getattr(self, name):
                    raise ValueError(
                        f"{name}={getattr(self, name)!r} is for task='classification', got "
                        f"task='regression': leave {name} at the default"
                    )
        self.estimator.check_bottleneck(self)
        if self.uses_score() and self.estimates_conditional() and self.resolved_draws() < 2:
            raise ValueError(
                f"n_draws={self.n_draws} is too few to estimate the score of q(z | x): use a "
                f"larger number, or n_draws=None for {SCORE_DRAWS} draws"
            )

    def _check_betas(self) -> None:
        """Raise ValueError if ``beta`` is an invalid pair, or a pair with ``max_information``."""
        if not isinstance(self.beta, tuple | list):
            return
        numbers = len(self.beta) == 2 and all(isinstance(beta, Real) for beta in self.beta)
        if not (numbers and 0 < self.beta[0] < self.beta[1] < math.inf):
            raise ValueError(
                f"beta={self.beta!r} must be a number, or a pair (low, high) with 0 < low < high, "
                "such as (1e-4, 1.0)"
            )
        if self.max_information is not None:
            raise ValueError(
                f"beta={self.beta!r} is a range of weights, but max_information="
                f"{self.max_information!r} adjusts a single weight: use max_information=None, or a "
                "number as beta"
            )

    def betas(self) -> tuple[float, float] | None:
        """Return the range of weights, or None for a single weight."""
        if not isinstance(self.beta, tuple | list):
            return None
        low, high = self.beta
        return float(low), float(high)

    def estimates_conditional(self) -> bool:
        """Return whether an estimator of scores needs several draws of z for each row."""
        return HEADS[self.head].stochastic and not self.uses_closed_form()

    def uses_closed_form(self) -> bool:
        """Return whether MIGE computes H(z | x) in closed form."""
        by_score = isinstance(self.estimator, MIGE) and self.estimator.conditional == "score"
        return HEADS[self.head].closed_form and not by_score

    def resolved_draws(self) -> int:
        """Return the number of draws of z for each row and training step."""
        if self.n_draws is not None:
            return int(self.n_draws)
        return SCORE_DRAWS if self.estimates_conditional() else 1

    def network_settings(self) -> dict[str, Any]:
        """Return head, number of draws, task, learned parts and range of weights."""
        return {
            "head": self.head,
            "n_draws": self.resolved_draws(),
            "task": self.task,
            "information": LearnedParts(self.estimator),
            "beta (range)": self.betas(),
        }

    def architecture(self) -> dict[str, Any]:
        """Return the head, the number of draws and the range of weights."""
        return {"head": self.head, "n_draws": self.resolved_draws(), "betas": self.betas()}

    def build(self, problem: Problem) -> BottleneckLoss:
        """Return a new loss, with newly initialised parameters if there are any."""
        term = self.estimator.build_term(self, problem)
        betas = self.betas()
        likelihood: nn.Module = GaussianLikelihood(problem.n_targets, learned=betas is None)
        if self.task == "classification":
            likelihood = ClassLikelihood(
                problem.class_weights,
                label_smoothing=self.label_smoothing,
                confidence_penalty=self.confidence_penalty,
            )
        beta: Any = self.beta if betas is None else math.sqrt(betas[0] * betas[1])
        loss = BottleneckLoss(likelihood, term, beta, max_information=self.max_information)
        return loss.float().to(problem.device)

    def warn(self, batch_size: int, n_components: int) -> None:
        """Warn if scores of q(z | x) are estimated from fewer draws than components."""
        draws = self.resolved_draws()
        if self.uses_score() and self.estimates_conditional() and n_components > draws:
            warn_user(
                f"n_components={n_components} exceeds the {draws} draws of z for each row, so the "
                "estimated scores of q(z | x) are too small. Use fewer components or a larger "
                "n_draws"
            )

    def unused_score(self) -> str | None:
        """Return the reason why ``score_estimator`` is unused, or None if it is used."""
        estimator = self.estimator
        by_score = isinstance(estimator, MIGE) and estimator.marginal in ("score", "stein")
        if not self.uses_score() or by_score:
            return super().unused_score()
        if not HEADS[self.head].stochastic or self.estimates_conditional():
            return None
        return (
            f"head={self.head!r} has entropies in closed form; use score_estimator=None, or "
            "information=MIGE(marginal='score') to estimate the entropy of z from scores"
        )
