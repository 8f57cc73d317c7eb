"""InfoMax, and prior matching, a loss that can be added to any objective."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from sk_mige._sizes import as_number
from sk_mige._warnings import warn_user
from sk_mige.information import PriorMatching
from sk_mige.networks import Code

from .base import Information, Objective, Problem, check_instance
from .information import INFORMATIONS, InformationDescription, LearnedParts


class PriorMatched(Objective):
    r"""Objective plus an adversarial loss that makes the sigmoid of z uniformly distributed.

    An adversary learns to distinguish the sigmoid of z from samples of the uniform distribution on
    the unit cube, as in Deep InfoMax.

    Parameters
    ----------
    objective : Objective
        Objective to which the prior-matching loss is added.
    n_components : int
        Dimension of z.
    weight : float
        Weight of the prior-matching loss.

    References
    ----------
    R. D. Hjelm et al., "Learning deep representations by mutual information estimation and
    maximization", ICLR 2019, Eq. 7.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import FunctionObjective, PriorMatched
    >>> objective = PriorMatched(FunctionObjective(lambda code, x, y: code.z.mean()), 2, 0.1)
    >>> objective(Code(torch.randn(8, 2)), torch.zeros(8, 5), torch.zeros(8)).shape
    torch.Size([])
    """

    def __init__(self, objective: Objective, n_components: int, weight: float) -> None:
        super().__init__()
        self.objective = objective
        self.has_value = objective.has_value
        self.matching = PriorMatching(n_components)
        self.weight = as_number("weight", weight, closed="left")

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum of objective, adversary loss and weighted prior-matching loss."""
        z = code.z.flatten(0, -2)  # rows of all views
        adversary, encoder = self.matching(z.sigmoid())
        return self.objective(code, x, y) + adversary + self.weight * encoder

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of the objective, without the losses of prior matching."""
        return self.objective.held_out(code, x, y)


class InfoMax(InformationDescription):
    r"""InfoMax: maximise the information about x in z, without targets.

    .. math:: \max_\phi\; I(x; z), \qquad z = E_\phi(x)

    ``MIGEEncoder(mode=InfoMax(...))`` is a transformer. ``mode="infomax"`` is a shorthand for
    ``mode=InfoMax()``.

    Parameters
    ----------
    information : str, MIGE, Critic, Information or callable, default="mige"
        Estimator of I(x; z). The name "mige" means :class:`MIGE`. The name of a bound, such as
        "infonce", means :class:`Critic`. The names "barlow-twins", "coding-rate", "sigreg" and
        "vicreg" mean :class:`BarlowTwins`, :class:`CodingRate`, :class:`SIGReg` and
        :class:`VICReg`. Each of these four objectives requires ``n_views=2`` or more. A callable
        ``loss(code, x, y)`` returns the loss of a batch, a scalar tensor. The argument y of the
        callable holds the targets of ``fit``, or zeros without targets. With S views, ``code.z``
        has the shape (S, M, K).
    corruption : float, default=0.3
        Probability with which each value of a row is set to 0 in a training step. The remaining
        values are divided by ``1 - corruption``. With corruption, training favours features that
        the corruption hardly changes.
    augmentation : callable, default=None
        Function applied to each training batch before the encoder. The function maps a tensor of
        shape ``(M, *input_shape)`` to a tensor of M rows, of any shape that the encoder accepts.
        The function is called once for each view. With one view, the objective remains the
        information about the original rows. For images, use
        :class:`sk_mige.training.ImageAugmentation`, which draws a random change for each image.
        Most torchvision transforms ``t`` make the same random change to all images of a batch. Use
        ``lambda batch: torch.stack([t(x) for x in batch])`` to draw a change for each image.
        Pickling the encoder requires a picklable function.
    n_views : int, default=1
        Number of views in a training step. A view is an independently augmented and corrupted copy
        of each row. With one view, the objective is the information between x and z. With two or
        more views, differences between the views are treated as noise
        (:func:`sk_mige.information.multiview_mutual_info_surrogate`). The duration of a training
        step grows with ``n_views``. With "mige" and several views, batches should have
        ``2 * n_components / (n_views - 1)`` rows or more. With a critic and several views, the
        objective is a bound of the information between views.
    layer : str, default=None
        Name of a submodule of the encoder, such as "conv" of ``encoder="conv"``. The output h of
        the submodule replaces x, and the objective is I(h; z). With "jsd" or "infonce", the
        objective is the global objective DIM(G) of Deep InfoMax. Training then uses an
        encoder from ``torch.compile`` without compilation.
    local : bool, default=False
        Whether h is the output of ``layer`` at a single location of the feature map. The objective
        is then the average of I(h; z) over all locations. With "jsd" or "infonce",
        ``layer="conv.5"`` gives the local objective DIM(L) of Deep InfoMax.
    prior_weight : float, default=0.0
        Weight of the prior-matching loss, which makes the sigmoid of z uniform on the unit cube.
        The value 0 disables prior matching.
    output_scale : {"input", "unit"} or None, default="input"
        Scale of z. Mutual information does not depend on the scale of z, but the gradient
        estimated by MIGE increases the scale. With "unit" and "input", the network ends with batch
        normalisation without weights. With "input", ``fit`` also maps z linearly to the units of x
        after training, as in PCA (:func:`sk_mige.training.input_alignment`). ``partial_fit`` does
        not change the linear map. If ``output_scale`` is None, training does not fix the scale of
        z.

    See Also
    --------
    InformationBottleneck : Objective with targets.
    MIGE : Gradient of information by score estimation.
    Critic : Bounds of information by trained critics.
    VICReg : Objective for several views, without an estimate of information.

    References
    ----------
    L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
    Representation Learning", ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import InfoMax, MIGEEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(16, mode=InfoMax(corruption=0.5), max_epochs=2, random_state=0)
    >>> encoder.fit_transform(X).shape
    (1797, 16)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "information": [StrOptions(set(INFORMATIONS)), Information, callable],
        "corruption": [Interval(Real, 0, 1, closed="left")],
        "augmentation": [callable, None],
        "n_views": [Interval(Integral, 1, None, closed="left")],
        "layer": [str, None],
        "local": ["boolean"],
        "prior_weight": [Interval(Real, 0, None, closed="left")],
        "output_scale": [StrOptions({"input", "unit"}), None],
    }

    def __init__(
        self,
        information: Any = "mige",
        *,
        corruption: float = 0.3,
        augmentation: Callable[[Tensor], Tensor] | None = None,
        n_views: int = 1,
        layer: str | None = None,
        local: bool = False,
        prior_weight: float = 0.0,
        output_scale: str | None = "input",
    ) -> None:
        self.information = information
        self.corruption = corruption
        self.augmentation = augmentation
        self.n_views = n_views
        self.layer = layer
        self.local = local
        self.prior_weight = prior_weight
        self.output_scale = output_scale

    def check(self) -> None:
        """Raise ValueError for parameters that are invalid or contradict each other."""
        self._validate_params()
        check_instance("augmentation", self.augmentation, "a function or an instance")
        self.estimator.check_infomax(self)
        if self.local and self.layer is None:
            raise ValueError(
                "local=True needs layer, the name of a submodule whose output is a feature map, "
                "got layer=None: use 'conv' or 'conv.5' for encoder='conv'"
            )
        if self.n_views == 1:
            return
        if self.augmentation is None and self.corruption == 0:
            raise ValueError(
                f"n_views={self.n_views} makes equal copies: pass an augmentation, or "
                "corruption > 0, so that the copies differ"
            )
        if self.layer is not None:
            raise ValueError(
                f"n_views={self.n_views} compares views with each other, but layer={self.layer!r} "
                "compares an inner layer with z: set n_views=1, or layer=None"
            )

    def network_settings(self) -> dict[str, Any]:
        """Return the settings of training inputs and codes, and the learned parts."""
        learned = LearnedParts(self.estimator)
        return {**self._inputs(), "output_scale": self.output_scale, "information": learned}

    def architecture(self) -> dict[str, Any]:
        """Return the head and the settings of the training inputs."""
        head = "deterministic" if self.output_scale is None else "standardizing"
        return {"head": head, **self._inputs()}

    def _inputs(self) -> dict[str, Any]:
        """Return the settings of training inputs and of the inner layer."""
        names = ("corruption", "augmentation", "n_views", "layer", "local")
        return {name: getattr(self, name) for name in names}

    def build(self, problem: Problem) -> Objective:
        """Return a new objective, with newly initialised parameters if there are any."""
        objective = self.estimator.build_infomax(self, problem)
        if self.prior_weight > 0:
            objective = PriorMatched(objective, problem.n_components, self.prior_weight)
        return objective.float().to(problem.device)

    def warn(self, batch_size: int, n_components: int) -> None:
        """Warn if batches have too few rows to estimate scores."""
        if not self.uses_score():
            return
        needed = -(-2 * n_components // max(1, self.n_views - 1))
        if self.n_views == 1 and batch_size < n_components:
            warn_user(
                f"batches of {batch_size} rows are smaller than n_components={n_components}, so "
                "the estimated scores are too small: use a larger batch_size, or fewer components"
            )
        elif self.n_views > 1 and batch_size < needed:
            warn_user(
                f"n_views={self.n_views} in batches of {batch_size} rows gives too few differences "
                f"between views to estimate the noise in n_components={n_components} dimensions. "
                f"Use batches of {needed} rows or more, or fewer components"
            )

    def input_replaced_by(self) -> str | None:
        """Return the setting that removes x from the kernel, or None if the kernel uses x."""
        if self.n_views > 1:
            return f"n_views={self.n_views}"
        return None if self.layer is None else f"layer={self.layer!r}"
