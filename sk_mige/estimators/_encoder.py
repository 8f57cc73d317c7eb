"""MIGEEncoder: representations learned through the gradient of mutual information."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, RegressorTags, Tags

from ._doc_link import DocLinkMixin
from ._encoder_constraints import PARAMETER_CONSTRAINTS
from ._encoder_fitting import FittingMixin
from ._encoder_prediction import PredictionMixin
from ._encoder_state import PortableStateMixin

__all__ = ["MIGEEncoder"]


class MIGEEncoder(
    DocLinkMixin,
    PortableStateMixin,
    FittingMixin,
    PredictionMixin,
    BaseEstimator,
):
    r"""Encoder trained by mutual information gradient estimation (MIGE).

    With ``mode="infomax"`` a network z = E(x) is trained, without labels, to keep as much as it
    can of its input: it follows the gradient

    .. math:: \nabla_\phi I(x; z) = -\mathbb{E}\big[(\nabla_z \log q(z)
              - \nabla_z \log q(x, z))^\top \nabla_\phi z\big],

    whose scores :math:`\nabla_z \log q` are estimated from each batch [1]_. With ``mode="ib"`` it
    is trained to predict y while forgetting the rest of x, by minimising
    :math:`-\log p(y | z) + \beta\, I(z; x)`, the information bottleneck.

    Parameters
    ----------
    n_components : int, default=64
        Dimension of the representation z.
    mode : {"infomax", "ib"}, default="infomax"
        What is learned: a representation of x alone, or a bottleneck between x and y.
    score_estimator : SSGEScoreEstimator or RandomProjectionSSGE, default=None
        How scores are estimated from a batch; it is not fitted itself. Read are its ``n_eigen``,
        ``eigen_threshold`` and ``alpha`` (left alone, what None stands for), ``bandwidth``, and of
        a :class:`RandomProjectionSSGE` what concerns the projection, which applies to x (never z)
        before distances are taken (its ``random_state``, where that is None the encoder's, draws
        it); whitening and base are for densities estimated once. None is SSGE with the median
        bandwidth and eigen_threshold 0.999: with far fewer eigenfunctions the encoder collapses to
        a few directions. On a GPU it is, in mode="infomax", a ridge of 1e-4 instead
        (eigen_threshold=None, alpha=1e-4), within a point of accuracy and without eigenpairs, which
        take long there. In mode="ib" scores are estimated for other heads than the Gaussian, whose
        ``marginal="auto"`` needs none.
    encoder : {"mlp", "conv"}, torch.nn.Module or callable, default="mlp"
        The network. A module is copied to float32 and trained on from its own weights. A callable
        is called with (n_features, n_outputs), or (input_shape, n_outputs) where that is given, and
        returns a module. The number of outputs is ``n_components``, twice as many (means, then
        scales) for the Gaussian head, 64 more (means, then thresholds) for the implicit one.
    hidden_layer_sizes : sequence of int, default=(512, 512)
        Hidden layers of encoder="mlp".
    input_shape : tuple of int, default=None
        Shape of a row inside the network, such as (channels, height, width). X stays
        two-dimensional for scikit-learn. encoder="conv" needs it.
    output_scale : {"input", "unit"} or None, default="input"
        In mode="infomax", the units of z, on which information does not depend but its estimate
        does. "unit" ends the network with a batch norm without weights: every component has
        variance 1 in the (corrupted) batches of training, less in ``transform``. "input" trains
        alike, and at the end of ``fit`` rotates and scales z to the principal components of x as z
        predicts it linearly: uncorrelated, the k-th with the variance of x that it explains, the
        largest first, as those of PCA are (:func:`sk_mige.training.input_alignment`).
        ``partial_fit`` leaves this map as it is. None lets the scale go where training takes it.
    corruption : float, default=0.3
        In mode="infomax", the fraction of a row's values that is hidden from the encoder, at
        random, at each step of training. Between x and the representation of a corrupted x the
        information is finite, and what is robust counts for more.
    augmentation : callable, default=None
        In mode="infomax", what becomes of a batch in training before it enters the encoder: a
        function of a tensor of shape ``(M, *input_shape)`` that returns one like it, called once
        for each view, such as torchvision's transforms (which treat all images of a batch alike;
        ``lambda batch: torch.stack([t(x) for x in batch])`` draws anew for each). The information
        is that of the original rows. It must be picklable if the encoder is to be.
    n_views : int, default=1
        In mode="infomax", how many copies of each row, independently augmented and corrupted, a
        step of training encodes. One is held against x itself. With two or more, what differs
        between the copies counts as noise, which z learns to leave out
        (:func:`sk_mige.information.multiview_mutual_info_surrogate`), at ``n_views`` times the
        cost. Batches should have ``2 * n_components / (n_views - 1)`` rows or more. With a bound
        as mi_estimator it is the copies' information about each other.
    dropout : float, default=0.0
        In training, the fraction of the units of each hidden layer of encoder="mlp" that is left
        out.
    head : {"gaussian", "deterministic", "implicit"}, default="gaussian"
        In mode="ib", whether z is drawn from a Gaussian with learned mean and scale, is the
        encoder's output itself, or is drawn by a network that noise passes through
        (:class:`sk_mige.networks.ImplicitHead`), whose density is unknown. The last is for some
        16 components or fewer: scores of q(z | x) must be estimated from a few draws.
    conditional : {"auto", "closed-form", "score"}, default="auto"
        In mode="ib", how H(z | x) is taken: in closed form, which a Gaussian head has, or by
        scores estimated from several draws of z for each x. "auto" is the first where it can be.
    n_training_samples : int, default=None
        In mode="ib", draws of z for each row and step of training. None is 16 where scores of
        q(z | x) are estimated, else 1.
    task : {"auto", "classification", "regression"}, default="auto"
        In mode="ib", the kind of y. "auto" looks at y in ``fit``, as scikit-learn's
        ``type_of_target`` does: integers, strings, booleans and floats that are all whole numbers
        are classes, other numbers are values. Until then scikit-learn cannot know either. State
        the task for cross-validation, whose folds are otherwise not stratified (of rows sorted
        by class each holds classes that training did not see), and for ``VotingClassifier``.
    class_weight : dict, "balanced" or None, default=None
        What a row of each class counts in the cross-entropy; "balanced" is inversely
        proportional to its frequency. The information is that of the rows as they are.
    label_smoothing : float, default=0.0
        For classes, the share of each target that is spread over all of them.
    confidence_penalty : float, default=0.0
        For classes, what a nat of the entropy of the predicted probabilities is worth.
    beta : float, default=1e-3
        In mode="ib", the price of a nat of information about x, in nats of log-likelihood.
    beta_warmup : int, default=0
        Epochs over which ``beta`` grows from 0, linearly.
    max_information : float, default=None
        In mode="ib", a ceiling of I(z; x) in nats: ``beta`` becomes a dual variable, adjusted from
        batch to batch until the Gaussian upper bound of I(z; x)
        (:func:`sk_mige.information.gaussian_mutual_info`; for mi_estimator="variational" its own)
        is at the ceiling, or below it at next to no price. The parameter ``beta`` is what it
        starts at. Needs head="gaussian".
    marginal : str, default="auto"
        In mode="ib", how the entropy of z is followed by mi_estimator="mige"; see
        :func:`sk_mige.information.stochastic_mutual_info_surrogate`. "auto" is the
        log-determinant of :func:`sk_mige.information.gaussian_mutual_info` for a Gaussian head,
        and estimated scores for the others. "classes", for classification by a Gaussian head, is
        that within the classes: how far these are apart then costs nothing. For
        mi_estimator="variational", the model of q(z): "standard" normal (that is "auto"), or
        "learned", a Gaussian with learned means and scales.
    x_scale : float, default=1.0
        Weight of x against z in the kernel of their joint score, where both have been brought to
        the same median distance; with several views x is not in it.
    mi_estimator : str, default="mige"
        What I(x; z) is followed by: "mige", or a bound with a critic that is trained along,
        "jsd" and "infonce" (Deep InfoMax's), "mine", "mine-f", "smile" or "club". ``beta`` and
        mode="ib" apply to each; ``score_estimator`` and ``x_scale`` to "mige" only. "variational",
        for mode="ib" with a Gaussian head, is the divergence from a model of q(z), ``marginal``:
        the deep variational bottleneck.
    critic : {"separable", "concatenated", "cosine"} or callable, default="separable"
        Form of a bound's critic: x and z embedded and multiplied, or both seen side by side, which
        can tell all pairs of a batch apart and then has no gradient to train by, or the cosine of
        the embeddings over 0.5 (with mi_estimator="infonce" and two views, SimCLR's way). A
        callable makes, of their dimensions, a module from x and z to all pairs' scores (M, M).
    feature_layer : str, default=None
        In mode="infomax", a submodule h of the encoder whose information :math:`I(h; z)` is
        maximised in place of :math:`I(x; z)`: "conv" of encoder="conv", say. With
        mi_estimator="mige" that is the paper's circumstance II, with "jsd" or "infonce" Deep
        InfoMax's global objective, DIM(G).
    local_features : bool, default=False
        Whether h is one location of that layer's feature map at a time, all locations counting
        alike: Deep InfoMax's local objective, DIM(L), whose layer is "conv.5".
    prior : {"uniform", "normal"}, default="uniform"
        In mode="infomax", the distribution that each component (for "uniform" its sigmoid) is
        drawn to by an adversary.
    prior_weight : float, default=0.0
        What matching the prior counts against the information; 0 leaves it out.
    n_prediction_samples : int, default=12
        Draws of z that ``predict`` and ``predict_proba`` average over; 0 uses the mean of z.
    max_epochs : int, default=30
        Passes over the data.
    validation_fraction : float, default=None
        Fraction of the rows that ``fit`` holds out; their loss is ``valid_loss`` in ``history_``,
        for ``EarlyStopping`` and its kin. In mode="ib" it is minus the log-likelihood of y.
        mode="infomax" has such a loss where a bound of I(x; z) is followed, not one of an inner
        layer or of views: a surrogate's value means nothing.
    batch_size : int, default=256
        Rows from which a gradient is estimated, at most: rows are dealt to batches of equal size.
    lr : float, default=1e-3
        Learning rate.
    lr_schedule : {"cosine", "constant", "exponential"}, default="cosine"
        "cosine" lets the learning rate fall to 0 over the epochs of a call to ``fit``,
        "exponential" multiplies it by ``lr_decay`` every ``lr_decay_epochs`` epochs.
        ``partial_fit`` knows no end and keeps it constant. An ``LRScheduler`` among the
        ``callbacks`` takes its place.
    lr_decay : float, default=0.97
        Factor of lr_schedule="exponential".
    lr_decay_epochs : int, default=2
        Epochs in which the factor is reached, an equal part of it in each.
    weight_averaging : float, default=None
        Decay of an exponential moving average of the weights, such as 0.999 for some thousand
        steps, which ``fit`` puts in the place of the last ones. None keeps the last.
    optimizer : {"adam", "adamw", "sgd"} or callable, default="adam"
        A class or factory is called with the network's parameters and ``lr``.
    mixed_precision : bool, default=False
        Whether encoder and critic multiply matrices in bfloat16 while training: about twice as
        fast for convolutions on processors and GPUs that have it, slower on those that have not.
        Weights, scores, likelihoods and all that is computed after ``fit`` stay in float32.
    output : str, default=None
        What ``transform`` returns: None is z, or its mean where it is drawn, "sample" one draw
        of it; else the name of one of the encoder's submodules,
        whose flattened output it is: "hidden1", … of "mlp", "conv", "fc" and "Y" of "conv", any
        of your own module's. It can be set after ``fit``.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is a GPU, else the CPU.
    distributed : bool, default=False
        Whether processes that torchrun launched together train one encoder, each with
        ``batch_size`` rows of a joint batch from which scores are estimated. Every process calls
        ``fit`` with the same X. A process on its own trains as always.
    callbacks : list, default=None
        Callbacks of skorch, such as ``EarlyStopping`` (with ``validation_fraction``) or
        ``LRScheduler``,
        each a class, an instance or a pair ``(name, callback)``. They are copied.
        For scikit-learn's own callbacks use ``set_callbacks``.
    warm_start : bool, default=False
        Whether a second call to ``fit`` continues where the first ended. As in ``partial_fit``,
        what was set in between counts if the network can follow: ``lr``, ``batch_size``,
        ``callbacks``, ``score_estimator``, ``x_scale``, ``beta``, ``max_information``,
        ``class_weight``, ``label_smoothing`` and the like. A change of the network itself, of
        ``corruption``, ``augmentation``, ``n_views``, ``optimizer`` or ``device`` is an error.
    verbose : int, default=0
        1 shows a bar with the time left, 2 prints a line an epoch.
    random_state : int, RandomState or None, default=None
        Seeds the weights, the batches and the noise. Torch's and NumPy's own generators are not
        touched.

    Attributes
    ----------
    module_ : torch.nn.Module
        The trained network: ``module_.encoder``, ``module_.head``, ``module_.decoder``.
    net_ : skorch.NeuralNet
        The net that trained it.
    history_ : list of dict
        One record an epoch: its number, ``train_loss``, ``dur`` in seconds and what callbacks
        added. In mode="infomax" the loss is a surrogate: its gradient is that of −I(x; z), its
        value is not an information.
    n_iter_ : int
        Number of finished epochs.
    classes_ : ndarray of shape (n_classes,)
        Labels; only for classification.
    task_ : str
        "classification" or "regression"; only with mode="ib".
    beta_ : float
        The price of information that training ended with; only with mode="ib".
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where they are strings.

    See Also
    --------
    SSGEScoreEstimator : The scores it follows.
    RandomProjectionSSGE : The same for inputs of many dimensions.

    Notes
    -----
    The networks compute in float32; what is made of x has the dtype of X: float64 for float64,
    float32 for float32 and arrays of integers, float64 for float16 and integers in lists and data
    frames. Predicted values of a regression are float64, or float32 as the targets of ``fit``.
    Interrupting ``fit`` (Ctrl-C) leaves a usable encoder. Pickles hold the weights as NumPy
    arrays and load on machines without a GPU.

    References
    ----------
    .. [1] L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
       Representation Learning", ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> X, y = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(n_components=16, max_epochs=2, random_state=0)
    >>> encoder.fit_transform(X).shape
    (1797, 16)

    As a classifier with a bottleneck:

    >>> bottleneck = MIGEEncoder(n_components=16, mode="ib", max_epochs=5, random_state=0)
    >>> bottleneck.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.8
    True
    """

    _parameter_constraints: dict[str, list[Any]] = PARAMETER_CONSTRAINTS

    @property
    def _n_features_out(self) -> int:
        return self._output_width()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        if self.mode != "ib":
            return tags
        tags.target_tags.required = True
        task = self._current_task()
        if task == "classification":
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags()
        elif task == "regression":
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
            tags.target_tags.multi_output = True
        return tags
