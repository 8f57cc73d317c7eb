"""Network of encoder, head and optional decoder."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sk_mige._sizes import as_number, as_size, as_sizes

from .heads import Code, Head


class EncoderNetwork(nn.Module):
    """Encoder, head and optional decoder, which map rows of features to a :class:`Code`.

    Parameters
    ----------
    encoder : nn.Module
        Network that maps inputs to ``head.n_inputs`` values per row.
    head : Head
        Network that maps the encoder's output to a :class:`Code`.
    decoder : nn.Module, default=None
        Network that maps z to predictions.
    input_shape : sequence of int, default=None
        Shape to which a row is reshaped for the encoder, such as (channels, height, width). If
        ``input_shape`` is None, rows are not reshaped.
    corruption : float, default=0.0
        Probability with which each value of a row is set to 0 in training. The remaining values
        are divided by ``1 - corruption``.
    augmentation : callable, default=None
        Function applied to the shaped inputs (M, ...) of a training batch before the encoder. The
        function returns M rows of a shape that the encoder accepts, and is called once for each
        view. A module, such as a torchvision transform, is copied to the network's device and is
        not trained.
    n_views : int, default=1
        Number S of independently corrupted and augmented copies of each row in training. With two
        or more copies, z has the shape (S, M, K).
    feature_layer : str, default=None
        Name of the submodule of the encoder whose output is part of the code in training.
    mixed_precision : bool, default=False
        Whether the encoder multiplies matrices in bfloat16 in training. The encoder's output, head
        and decoder have the precision of the weights. In evaluation mode, the encoder also has the
        precision of the weights.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import DeterministicHead, EncoderNetwork, MLPEncoder
    >>> network = EncoderNetwork(MLPEncoder(4, 2), DeterministicHead(2))
    >>> network(torch.zeros(5, 4)).z.shape
    torch.Size([5, 2])
    >>> network.layer(torch.zeros(5, 4), "hidden1").shape
    torch.Size([5, 512])
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: Head,
        decoder: nn.Module | None = None,
        *,
        input_shape: Sequence[int] | None = None,
        corruption: float = 0.0,
        augmentation: Callable[[Tensor], Tensor] | None = None,
        n_views: int = 1,
        feature_layer: str | None = None,
        mixed_precision: bool = False,
    ) -> None:
        super().__init__()
        for name, part in {"encoder": encoder, "head": head, "decoder": decoder}.items():
            if not isinstance(part, nn.Module) and not (name == "decoder" and part is None):
                raise TypeError(f"{name} must be a torch.nn.Module, got {part!r:.80}")
        if not (augmentation is None or callable(augmentation)):
            raise TypeError(f"augmentation must be a function or None, got {augmentation!r:.80}")
        self.corrupt = nn.Dropout(as_number("corruption", corruption, 0, 1, "both"))
        self.encoder = encoder
        self.head = head
        self.decoder = decoder
        self.input_shape = None if input_shape is None else as_sizes("input_shape", input_shape)
        if isinstance(augmentation, nn.Module):  # the module may be used elsewhere
            augmentation = copy.deepcopy(augmentation).requires_grad_(False)
        self.augmentation = augmentation
        self.n_views = as_size("n_views", n_views)
        self.feature_layer = feature_layer
        self.mixed_precision = mixed_precision
        self.feature_shape: tuple[int, ...] | None = None  # shape of one row's features, if known

    def forward(self, x: Tensor) -> Code:
        """Return the code of the rows x (M, n_features)."""
        inputs = self.shaped(x)
        code = self._training_code(inputs) if self.training else self.head(self.encoder(inputs))
        if self.decoder is not None:
            code = code._replace(prediction=self.decoder(code.z))
        return code

    def _training_code(self, inputs: Tensor) -> Code:
        """Return the code of all views, with the features of the inner layer."""
        # Each view has a separate call, because most transforms change all rows of a batch in the
        # same random way.
        changed = [self._augmented(inputs) for _ in range(self.n_views)]
        with _naming_shapes(inputs, changed):
            views = self.corrupt(torch.cat(changed) if self.n_views > 1 else changed[0])
            if self.feature_layer is None:
                code: Code = self.head(self._encoded(views))
            else:
                with self._reading(self.feature_layer) as kept:
                    code = self.head(self._encoded(views))
                code = code._replace(features=kept[-1].to(code.z.dtype))
        if self.n_views > 1:
            code = code._replace(z=code.z.reshape(self.n_views, len(inputs), -1))
        return code

    def _augmented(self, inputs: Tensor) -> Tensor:
        if self.augmentation is None:
            return inputs
        # The inputs are copied, because an in-place function would change x and the next view.
        made: Any = self.augmentation(inputs.clone())
        if isinstance(made, Tensor) and made.shape[:1] == inputs.shape[:1]:
            return made.to(inputs.dtype)  # NumPy's noise gives float64
        is_tensor = isinstance(made, Tensor)
        got = f"the shape {tuple(made.shape)}" if is_tensor else f"a {type(made).__name__}"
        raise ValueError(
            "augmentation must return a tensor with as many rows as its input: for the shape "
            f"{tuple(inputs.shape)} it returned {got}. For several copies of each row, use "
            "n_views, which calls augmentation once for each copy"
        )

    def _encoded(self, inputs: Tensor) -> Tensor:
        """Return the encoder's output in training, in bfloat16 with ``mixed_precision``."""
        encoder = self.encoder if self.feature_layer is None else self._uncompiled()
        if not self.mixed_precision:
            return encoder(inputs)
        # Inside another autocast context, the cache would remain after the training step.
        with torch.autocast(inputs.device.type, torch.bfloat16, cache_enabled=False):
            output = encoder(inputs)
        # Scores, likelihoods and noise need more than the three digits of bfloat16.
        return output.to(inputs.dtype)

    def predictions(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return decoder outputs (S, M, t) for S draws of z, with noise (S, K) for all rows.

        Without noise, S is 1 and z is the head's output in evaluation mode.
        """
        if self.decoder is None:
            raise ValueError("predictions need a decoder, got decoder=None: pass a decoder")
        if noise is None:
            return torch.unsqueeze(self.decoder(self(x).z), 0)
        return self.decoder(self.draws(x, noise[:, None]))

    def draws(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return draws (S, M, K) of z for rows x, from noise (S, M, K) or (S, 1, K)."""
        return self.head.draws(self.encoder(self.shaped(x)), noise)

    def shaped(self, x: Tensor) -> Tensor:
        """Return the rows (M, n_features) in the shape that the encoder accepts."""
        return x if self.input_shape is None else x.reshape(-1, *self.input_shape)

    @torch.no_grad()
    def shift_log_odds(self, weights: Tensor) -> None:
        """Shift the decoder's initial biases by the logarithms of the class weights.

        The weight w_c of a class c increases the optimal logit of c by log w_c. If class weights
        are extreme, gradient steps alone would reach the optimal logits slowly.
        """
        assert isinstance(self.decoder, nn.Linear)
        shift = (weights / weights.max()).log().clamp_min(-20)
        self.decoder.bias.add_(shift.to(self.decoder.bias.device))

    def check_layer(self, parameter: str, name: str) -> None:
        """Raise ValueError if the encoder has no submodule ``name``."""
        if name not in self._layer_names():
            raise ValueError(
                f"{parameter}={name!r} is not a submodule of the encoder; use one of "
                f"{self._layer_names()}"
            )

    def layer(self, x: Tensor, name: str) -> Tensor:
        """Return the output of the encoder's submodule ``name``, flattened to (M, n)."""
        return torch.flatten(self.feature_map(x, name), 1)

    def feature_map(self, x: Tensor, name: str) -> Tensor:
        """Return the output of the encoder's submodule ``name``, without flattening."""
        with self._reading(name) as kept:
            self._uncompiled()(self.shaped(x))
        return kept[-1]

    def _uncompiled(self) -> nn.Module:
        """Return the encoder without a wrapper of ``torch.compile``, for hooks of submodules.

        A compiled module does not call hooks that were registered after its compilation.
        """
        module: nn.Module = getattr(self.encoder, "_orig_mod", self.encoder)
        return module

    def _layer_names(self) -> list[str]:
        modules = self._uncompiled().named_modules(remove_duplicate=False)
        return [name for name, _ in modules if name and "_orig_mod" not in name]

    @contextmanager
    def _reading(self, name: str) -> Iterator[list[Tensor]]:
        """Collect the outputs of the encoder's submodule ``name`` inside the context."""
        self.check_layer("layer", name)
        kept: list[Tensor] = []
        reader = threading.get_ident()

        def keep(_module: nn.Module, _args: Any, out: Tensor) -> None:
            # Other threads may be evaluating other rows with the same network.
            if threading.get_ident() == reader:
                kept.append(out)

        handle = self._uncompiled().get_submodule(name).register_forward_hook(keep)
        try:
            yield kept
        finally:
            handle.remove()
        if not (kept and isinstance(kept[-1], Tensor)):
            got = type(kept[-1]).__name__ if kept else "no value"
            raise ValueError(
                f"the forward pass of the encoder gets {got} from the submodule {name!r}, not a "
                f"tensor; use another of {self._layer_names()}"
            )


@contextmanager
def _naming_shapes(inputs: Tensor, changed: Sequence[Tensor]) -> Iterator[None]:
    """If the encoder raises an error, name the shapes that the augmentation has changed.

    A changed shape alone is not an error, because some encoders accept images of any size.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        shapes = {tuple(part.shape): None for part in changed if part.shape != inputs.shape}
        if not shapes:
            raise
        raise ValueError(
            f"augmentation changed the shape {tuple(inputs.shape)} of the inputs to "
            f"{', '.join(map(str, shapes))}, which the encoder does not accept ({error}). Keep the "
            "shape, or use an encoder for images of any size"
        ) from error
