"""Descriptions of the estimators of information: MIGE, critics and variational bounds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from math import prod
from numbers import Real
from typing import Any, get_args

from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sk_mige.information.bounds import BOUNDS, make_bound
from sk_mige.information.stochastic import Marginal
from sk_mige.networks import HEADS, Code

from .base import (
    BottleneckSettings,
    Description,
    FunctionObjective,
    InfoMaxSettings,
    Information,
    InformationTerm,
    Loss,
    Objective,
    Problem,
    check_instance,
)
from .critics import (
    CRITICS,
    CriticBound,
    CriticInfoMax,
    CriticTerm,
    FeatureCriticInfoMax,
    ViewCriticInfoMax,
)
from .mige import FeatureInfoMax, MIGEInfoMax, MIGETerm
from .variational import VariationalTerm
from .views import VIEWS


class LearnedParts:
    """Learned parts of an estimator of information, which can be compared with other learned parts.

    Learned parts are equal if the estimators have the same class and parameters. Two estimators
    without learned parts are always equal, so training can continue with another estimator.
    """

    def __init__(self, information: Information) -> None:
        self.information = copy.copy(information)  # the parameters of the original may change

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LearnedParts):
            return False
        one, two = self.information, other.information
        if not (one.learns() or two.learns()):
            return True
        return type(one) is type(two) and bool(one.get_params() == two.get_params())

    def __repr__(self) -> str:
        return repr(self.information)


class MIGE(Information):
    """Estimator of the gradient of mutual information from estimated scores.

    MIGE is the default estimator of information, and trains no critic. Use :class:`Critic` if
    distances between rows are not meaningful. In InfoMax, the ``score_estimator`` of
    ``MIGEEncoder`` estimates the scores of each batch. By default, a bottleneck with a Gaussian
    head does not estimate scores. The entropy of z given x, and an upper bound of the entropy of z,
    have closed forms.

    Parameters
    ----------
    x_scale : float, default=1.0
        Weight of x relative to z in the kernel of the joint score of x and z. The weight applies
        after x and z are scaled to the same median distance. The joint score is estimated in
        InfoMax with one view and no ``layer``, and in a bottleneck with ``head="deterministic"``.
        Without this joint score, ``x_scale`` must be 1.
    marginal : {"auto", "gaussian", "whitened", "score", "stein", "mixture", "leave-one-out", \
"classes"}, default="auto"
        Estimate of the entropy of z in a bottleneck
        (:func:`sk_mige.information.stochastic_mutual_info_surrogate`). For a Gaussian head, "auto"
        is the log-determinant of :func:`sk_mige.information.gaussian_mutual_info`. For other heads,
        and with ``conditional="score"``, "auto" estimates scores. With "classes", the
        log-determinant is taken within classes, so that information about the class is not
        penalised. The value "classes" requires classification, a Gaussian head, and a
        ``conditional`` other than "score".
    conditional : {"auto", "closed-form", "score"}, default="auto"
        Estimate of the entropy of z given x in a bottleneck. With "closed-form", the entropy of
        the Gaussian head is exact. With "score", scores are estimated from several draws of z for
        each x. For a Gaussian head, "auto" is "closed-form". For an implicit head, "auto" is
        "score".

    See Also
    --------
    Critic : Bounds of information by trained critics.
    Variational : Variational upper bound of the information of a bottleneck.

    References
    ----------
    L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
    Representation Learning", ICLR 2020.

    Examples
    --------
    >>> from sk_mige import MIGE, InformationBottleneck
    >>> InformationBottleneck(MIGE(marginal="classes"), beta=1e-2)
    InformationBottleneck(beta=0.01, information=MIGE(marginal='classes'))
    """

    uses_score = True
    _parameter_constraints: dict[str, list[Any]] = {
        "x_scale": [Interval(Real, 0, None, closed="left")],
        "marginal": [StrOptions({*get_args(Marginal), "classes"})],
        "conditional": [StrOptions({"auto", "closed-form", "score"})],
    }

    def __init__(
        self, x_scale: float = 1.0, *, marginal: str = "auto", conditional: str = "auto"
    ) -> None:
        self.x_scale = x_scale
        self.marginal = marginal
        self.conditional = conditional

    def check_infomax(self, mode: InfoMaxSettings) -> None:
        """Raise ValueError for parameters that have no effect in InfoMax."""
        self._validate_params()
        for name in ("marginal", "conditional"):
            if getattr(self, name) != "auto":
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is for InformationBottleneck: InfoMax has no "
                    "noise in z; use 'auto'"
                )
        if self.x_scale != 1 and (mode.n_views > 1 or mode.layer is not None):
            other = f"n_views={mode.n_views}" if mode.n_views > 1 else f"layer={mode.layer!r}"
            raise ValueError(
                f"x_scale={self.x_scale} is the weight of x in a kernel, but no kernel uses x with "
                f"{other}: use x_scale=1"
            )

    def check_bottleneck(self, mode: BottleneckSettings) -> None:
        """Raise ValueError for parameters that the head or the task does not support."""
        self._validate_params()
        head = HEADS[mode.head]
        for name in ("marginal", "conditional"):
            if getattr(self, name) != "auto" and not head.stochastic:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} needs noise in z, which head={mode.head!r} "
                    "does not have: use 'auto', or head='gaussian' or 'implicit'"
                )
        if self.conditional == "closed-form" and not head.closed_form:
            raise ValueError(
                f"conditional='closed-form' needs a known density q(z | x), which head="
                f"{mode.head!r} does not have: use conditional='score' or 'auto', or "
                "head='gaussian'"
            )
        if self.x_scale != 1 and head.stochastic:
            raise ValueError(
                f"x_scale={self.x_scale} is the weight of x in a kernel, but no kernel uses x with "
                f"head={mode.head!r}: use x_scale=1, or head='deterministic'"
            )
        if self.marginal == "classes" and not mode.uses_closed_form():
            raise ValueError(
                "marginal='classes' needs the mean and scale of head='gaussian' in closed form, "
                f"got head={mode.head!r}, conditional={self.conditional!r}: use marginal='auto', "
                "or head='gaussian' with conditional='auto'"
            )
        if self.marginal == "classes" and mode.task != "classification":
            raise ValueError(
                f"marginal='classes' is the information within classes, got task={mode.task!r}: "
                "use marginal='auto'"
            )

    def build_infomax(self, mode: InfoMaxSettings, problem: Problem) -> Objective:
        """Return the objective that maximises I(x; z), or I(h; z) for an inner layer h."""
        if problem.feature_shape is not None:
            return FeatureInfoMax(problem.score, local=mode.local)
        return MIGEInfoMax(problem.score, x_scale=self.x_scale, projection=problem.projection)

    def build_term(self, mode: BottleneckSettings, problem: Problem) -> InformationTerm:
        """Return the term with MIGE's gradient of I(x; z)."""
        return MIGETerm(
            problem.score,
            marginal=self.marginal,
            closed_form=mode.uses_closed_form(),
            x_scale=self.x_scale,
            projection=problem.projection,
        )


class Critic(Information):
    """Bound of mutual information with a critic that is trained together with the encoder.

    Parameters
    ----------
    bound : str, default="infonce"
        Name of the bound. Deep InfoMax uses "jsd" and "infonce". Other bounds are "mine", "mine-f",
        "smile" and "club" (:func:`sk_mige.information.make_bound`).
    critic : {"separable", "concatenated", "cosine"} or callable, default="separable"
        Form of the critic. A "separable" critic is the inner product of embeddings of x and z. A
        "concatenated" critic is a multilayer perceptron of the pair (x, z). The gradient with
        respect to z vanishes if a concatenated critic separates the true pairs of a batch from all
        other pairs. A "cosine" critic is the cosine of the embeddings divided by a temperature of
        0.5, as in SimCLR. A callable takes (n_features, n_components) and returns a module that
        maps x and z to the scores of all pairs (M, M). The bound "club" always uses a conditional
        Gaussian.

    See Also
    --------
    MIGE : Gradient of mutual information by score estimation, without a critic.

    Examples
    --------
    >>> from sk_mige import Critic, InfoMax
    >>> InfoMax(Critic("infonce", critic="cosine"), n_views=2)
    InfoMax(information=Critic(critic='cosine'), n_views=2)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "bound": [StrOptions(set(BOUNDS))],
        "critic": [StrOptions(set(CRITICS)), callable],
    }

    def __init__(
        self, bound: str = "infonce", critic: str | Callable[..., nn.Module] = "separable"
    ) -> None:
        self.bound = bound
        self.critic = critic

    def learns(self) -> bool:
        """Return True, because a critic is trained."""
        return True

    def _validate_params(self) -> None:
        """Raise ValueError for parameters out of range, and for a ``critic`` without effect."""
        super()._validate_params()
        if make_bound(self.bound).critic == "density" and self.critic != "separable":
            raise ValueError(
                f"critic={self.critic!r} has no effect with bound={self.bound!r}, whose critic is "
                "a conditional Gaussian: leave critic at the default"
            )

    def build_infomax(self, mode: InfoMaxSettings, problem: Problem) -> Objective:
        """Return the objective that maximises I(x; z), or I(h; z) for an inner layer h."""
        if problem.feature_shape is not None:
            shape = problem.feature_shape[:1] if mode.local else problem.feature_shape
            # Embeddings have 512 units, as in the code of Deep InfoMax. The concatenated critic
            # has two hidden layers, as in the paper.
            sizes: dict[str, Any] = {"n_embedding": 512, "hidden": (512, 512)}
            between = self._between(prod(shape), problem, normalize=False, **sizes)
            return FeatureCriticInfoMax(between, local=mode.local)
        if mode.n_views > 1:
            # SimCLR's projection head has layers of 512 and 128 units.
            sizes = {"n_embedding": 128, "shared": make_bound(self.bound).shares_embedding}
            return ViewCriticInfoMax(
                self._between(problem.n_components, problem, normalize=False, **sizes)
            )
        return CriticInfoMax(self._between(problem.n_features, problem))

    def build_term(self, mode: BottleneckSettings, problem: Problem) -> InformationTerm:
        """Return the bound as the information term of a bottleneck."""
        return CriticTerm(self._between(problem.n_features, problem))

    def _between(
        self, n_features: int, problem: Problem, *, normalize: bool = True, **sizes: Any
    ) -> CriticBound:
        taken = ("hidden",) if self.critic == "concatenated" else ("n_embedding", "shared")
        return CriticBound(
            self.bound,
            n_features,
            problem.n_components,
            self.critic,
            normalize=normalize,
            mixed_precision=problem.mixed_precision,
            **{name: sizes[name] for name in taken if name in sizes},
        )


class Variational(Information):
    """Upper bound of I(x; z) in a bottleneck, from a model of the marginal distribution of z.

    The bound is the mean Kullback-Leibler divergence of q(z | x) from the model, as in the deep
    variational information bottleneck. ``head="gaussian"`` is required.

    Parameters
    ----------
    prior : {"standard", "learned"}, default="standard"
        Model of the marginal distribution of z. The prior "standard" is the standard normal
        distribution. The prior "learned" is a Gaussian with learned means and scales.

    References
    ----------
    A. A. Alemi, I. Fischer, J. V. Dillon, K. Murphy, "Deep variational information bottleneck",
    ICLR 2017.

    Examples
    --------
    >>> from sk_mige import InformationBottleneck, Variational
    >>> InformationBottleneck(Variational("learned"))
    InformationBottleneck(information=Variational(prior='learned'))
    """

    _parameter_constraints: dict[str, list[Any]] = {"prior": [StrOptions({"standard", "learned"})]}

    def __init__(self, prior: str = "standard") -> None:
        self.prior = prior

    def learns(self) -> bool:
        """Return whether the model of the marginal is learned."""
        return self.prior == "learned"

    def check_bottleneck(self, mode: BottleneckSettings) -> None:
        """Raise ValueError for heads without a known density q(z | x)."""
        self._validate_params()
        if not HEADS[mode.head].closed_form:
            raise ValueError(
                f"information={self!r} needs the density q(z | x), which only head='gaussian' "
                f"has; got head={mode.head!r}: use head='gaussian', or information='mige'"
            )

    def build_term(self, mode: BottleneckSettings, problem: Problem) -> InformationTerm:
        """Return the divergence of q(z | x) from the model, as the information term."""
        return VariationalTerm(problem.n_components, learned=self.prior == "learned")


class FunctionInformation(Information):
    """Custom function ``information(code, x, y)`` of a batch.

    Parameters
    ----------
    function : callable
        Function that returns the loss of a batch in InfoMax, and the information in nats in
        InformationBottleneck.
    """

    def __init__(self, function: Loss) -> None:
        self.function = function

    def learns(self) -> bool:
        """Return whether the function is a module, which may have parameters."""
        return isinstance(self.function, nn.Module)

    def build_infomax(self, mode: InfoMaxSettings, problem: Problem) -> Objective:
        """Return an objective with a held-out value if ``n_views`` is 1 and ``layer`` is None."""
        return FunctionObjective(self.function, has_value=mode.n_views == 1 and mode.layer is None)

    def build_term(self, mode: BottleneckSettings, problem: Problem) -> InformationTerm:
        """Return the function as the information term of a bottleneck."""
        return _FunctionTerm(self.function)


class _FunctionTerm(InformationTerm):
    def __init__(self, function: Loss) -> None:
        super().__init__()
        self.function = FunctionObjective(function)

    def forward(self, code: Code, x: Tensor, y: Tensor) -> tuple[Tensor, None]:
        return self.function(code, x, y), None


# To add an estimator, write a subclass of base.Information in a new module and add a line here.
INFORMATIONS: dict[str, Callable[[], Information]] = {
    "mige": MIGE,
    "variational": Variational,
    **{name: partial(Critic, name) for name in BOUNDS},
    **VIEWS,
}


def as_information(information: Any) -> Information:
    """Return the estimator for a name or a function, and return an estimator unchanged."""
    if isinstance(information, Information):
        return information
    check_instance("information", information, "a name, an object or a function")
    if isinstance(information, str):
        if information not in INFORMATIONS:
            raise ValueError(
                f"information={information!r} is unknown; use one of {sorted(INFORMATIONS)}, or an "
                "object such as MIGE() or Critic('infonce')"
            )
        return INFORMATIONS[information]()
    return FunctionInformation(information)


class InformationDescription(Description):
    """Description of an objective with an estimator of information as its parameter."""

    information: Any
    _shorthands = {"information": as_information}

    @property
    def estimator(self) -> Information:
        """Estimator object for the parameter ``information``."""
        return as_information(self.information)

    def takes_targets(self) -> bool:
        """Return whether the information is a custom function."""
        return isinstance(self.estimator, FunctionInformation)

    def uses_score(self) -> bool:
        """Return whether the estimator of information can use ``score_estimator``."""
        return self.estimator.uses_score

    def unused_score(self) -> str | None:
        """Return the reason why ``score_estimator`` is unused, or None if it is used."""
        if self.uses_score():
            return None
        return f"information={self.information!r} does not estimate scores"
