"""Description of InfoMax."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from sk_mige._warnings import warn_user

from .base import Information, Objective, Problem
from .information import INFORMATIONS, InformationDescription
from .prior import PriorMatched

__all__ = ["InfoMax"]


class InfoMax(InformationDescription):
    r"""InfoMax: keep as much information about x in z as possible, without targets.

    .. math:: \max_\phi\; I(x; z), \qquad z = E_\phi(x)

    ``MIGEEncoder(mode=InfoMax(...))`` is a transformer. ``mode="infomax"`` is short for
    ``mode=InfoMax()``.

    Parameters
    ----------
    information : str, MIGE, Critic, Information or callable, default="mige"
        Estimator of I(x; z). The name "mige" is short for :class:`MIGE`, and the name of a bound
        for :class:`Critic`. The names "barlow-twins", "coding-rate", "sigreg" and "vicreg" are
        short for :class:`BarlowTwins`, :class:`CodingRate`, :class:`SIGReg` and :class:`VICReg`,
        which need ``n_views=2`` or more. A callable ``loss(code, x, y)`` returns the loss of a
        batch, a scalar tensor. The argument y holds the targets of ``fit``, or zeros without
        targets. With several views, ``code.z`` has the shape (S, M, K).
    corruption : float, default=0.3
        Probability with which each value of a row is set to 0 in a training step. The remaining
        values are divided by ``1 - corruption``. The information between x and the representation
        of a corrupted x is finite, and robust features contribute more to this information.
    augmentation : callable, default=None
        Function applied to each training batch before the encoder. The function maps a tensor of
        shape ``(M, *input_shape)`` to a tensor of the same shape. The function is called once for
        each view. The objective is the information about the original rows. Transforms of
        torchvision apply the same random change to all images of a batch. Use
        ``lambda batch: torch.stack([t(x) for x in batch])`` to draw a change for each image.
        Pickling the encoder requires a picklable function. For images, use
        :class:`sk_mige.training.ImageAugmentation`, which draws a change for each image.
    n_views : int, default=1
        Number of copies of each row, independently augmented and corrupted, in a training step. A
        single copy is compared with x itself. With two or more copies, the differences between
        copies count as noise (:func:`sk_mige.information.multiview_mutual_info_surrogate`). The
        cost of a step grows with ``n_views``. Batches should have
        ``2 * n_components / (n_views - 1)`` rows or more. With a critic, the objective is a bound
        of the information between the copies.
    layer : str, default=None
        Name of a submodule of the encoder. The submodule's output h replaces x, so I(h; z) is
        maximised. An example is "conv" of ``encoder="conv"``. With MIGE, this objective is the
        paper's circumstance II. With "jsd" or "infonce", this objective is Deep InfoMax's global
        DIM(G).
    local : bool, default=False
        Whether to average the information over single locations h of the feature map of ``layer``.
        For the layer "conv.5", the result is Deep InfoMax's local objective DIM(L).
    prior_weight : float, default=0.0
        Weight of the prior-matching loss, which moves the sigmoid of each component to a uniform
        distribution. With 0, there is no prior matching.
    output_scale : {"input", "unit"} or None, default="input"
        Units of z. Mutual information does not depend on the units of z, but its estimate does.
        With "unit", the network ends with a batch norm without weights. With "input", the network
        has the same batch norm in training. Afterwards, ``fit`` maps z linearly to the units of x,
        as in PCA (:func:`sk_mige.training.input_alignment`). ``partial_fit`` does not change this
        map. With None, the scale is free in training.

    See Also
    --------
    InformationBottleneck : Objective with targets.
    MIGE : Gradient of information by score estimation.
    Critic : Bounds of information by trained critics.
    VICReg : Objective of several views without estimated information.

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
        self.estimator.check_infomax(self)
        if self.local and self.layer is None:
            raise ValueError(
                "local=True needs layer, the name of a submodule whose output is a feature map: "
                "'conv' or 'conv.5' for encoder='conv'"
            )
        if self.n_views == 1:
            return
        if self.augmentation is None and self.corruption == 0:
            raise ValueError(
                f"n_views={self.n_views} makes equal copies: pass an augmentation, or "
                "corruption > 0, so that they differ"
            )
        if self.layer is not None:
            raise ValueError(
                f"n_views={self.n_views} compares views with each other, layer={self.layer!r} "
                "compares an inner layer with z: set n_views=1, or layer=None"
            )

    def network_settings(self) -> dict[str, Any]:
        """Return the settings of training inputs and codes, and the information's learned parts."""
        names = ("corruption", "augmentation", "n_views", "layer", "local", "output_scale")
        settings = {name: getattr(self, name) for name in names}
        return {**settings, "information": self.learned_parts()}

    def architecture(self) -> dict[str, Any]:
        """Return the head and the changes of training inputs."""
        return {
            "head": "deterministic" if self.output_scale is None else "standardizing",
            "corruption": float(self.corruption),
            "augmentation": self.augmentation,
            "n_views": int(self.n_views),
            "layer": self.layer,
            "local": self.local,
        }

    def build(self, problem: Problem) -> Objective:
        """Return a new objective, with newly initialised parameters if it learns any."""
        objective = self.estimator.build_infomax(self, problem)
        if self.prior_weight > 0:
            objective = PriorMatched(objective, problem.n_components, self.prior_weight)
        return objective.float().to(problem.device)

    def warn(self, batch_size: int, n_components: int) -> None:
        """Warn of batches with too few rows to estimate scores."""
        if not self.uses_score():
            return
        needed = -(-2 * n_components // max(1, self.n_views - 1))
        if self.n_views == 1 and batch_size < n_components:
            warn_user(
                f"batches of {batch_size} rows are fewer than n_components={n_components}, so the "
                "estimated scores are too small: use a larger batch_size, or fewer components"
            )
        elif self.n_views > 1 and batch_size < needed:
            warn_user(
                f"n_views={self.n_views} in batches of {batch_size} rows gives too few differences "
                f"between views to estimate the noise in n_components={n_components} dimensions: "
                f"use batches of {needed} rows or more, or fewer components"
            )

    def input_replaced_by(self) -> str | None:
        """Return the setting that removes x from the kernel, or None if the kernel uses x."""
        if self.n_views > 1:
            return f"n_views={self.n_views}"
        return None if self.layer is None else f"layer={self.layer!r}"
