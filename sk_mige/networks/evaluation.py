"""Evaluation of a trained network on many rows, and export of a trained network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sk_mige._contexts import on_device

from .encoder import EncoderNetwork

# Number of values of a chunk in the widest layer. On a CPU, 4 MiB of float32 values stay in the
# caches. Convolutions and GPUs need larger chunks for full speed.
CPU_CHUNK_VALUES = 2**20
CHUNK_VALUES = 2**24
# Number of values in the first feature map for each pixel of the image. The feature map has 64
# channels with a quarter of the pixels.
VALUES_OF_A_PIXEL = 16
# Smallest number of rows in a matrix product. Products of fewer rows round differently.
FEWEST_ROWS = 32


def evaluate(
    network: nn.Module,
    function: Callable[[Tensor], Tensor],
    rows: Any,
    *,
    read: Callable[[Any, list[slice]], Iterable[Any]] | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Evaluate a function chunk by chunk for many rows, with the network in evaluation mode.

    Parameters
    ----------
    network : torch.nn.Module
        Network that the function calls. Chunks are moved to the network's device.
    function : callable
        Function that maps float32 rows (m, n_features) to a tensor of m rows.
    rows : ndarray or tensor of shape (n, n_features)
        Rows.
    read : callable, default=None
        Function ``read(rows, slices)`` that yields the chunk for each slice. None means that
        ``rows`` is indexed by each slice.
    out : ndarray of n rows, default=None
        Array that is filled chunk by chunk and returned. If ``out`` is None, a new
        array is created.

    Returns
    -------
    ndarray of n rows
        Values of the function. The value for a row does not depend on other rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige.networks import DeterministicHead, EncoderNetwork, MLPEncoder, evaluate
    >>> network = EncoderNetwork(MLPEncoder(4, 2), DeterministicHead(2))
    >>> evaluate(network, lambda x: network(x).z, np.zeros((5, 4))).shape
    (5, 2)
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module, got {type(network).__name__}")
    shape = tuple(getattr(rows, "shape", ()))
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            "rows must be an array or a tensor of shape (n, n_features), with n >= 1; got "
            f"{f'the shape {shape}' if shape else type(rows).__name__}"
        )
    network.eval()
    device = next(network.parameters()).device
    size = _chunk_rows(network, rows.shape[1], device)
    parts = [slice(start, min(start + size, len(rows))) for start in range(0, len(rows), size)]
    chunks = (rows[part] for part in parts) if read is None else read(rows, parts)
    results = []
    off = torch.autocast(device.type, enabled=False)
    with torch.inference_mode(), off, on_device(device):
        for part, chunk in zip(parts, chunks, strict=True):
            if isinstance(chunk, np.ndarray):  # the chunk may be read-only
                chunk = np.array(chunk, dtype=np.float32)
            x = torch.as_tensor(chunk, dtype=torch.float32, device=device)
            # Rows of zeros, so that results do not depend on the number of rows.
            missing = max(0, FEWEST_ROWS - len(x))
            made = function(nn.functional.pad(x, (0, 0, 0, missing)) if missing else x)
            if not isinstance(made, Tensor):
                raise TypeError(
                    "function must return a tensor with one row for each input row, got "
                    f"{type(made).__name__}"
                )
            values = made.cpu().numpy()[: len(x)]
            if out is None:
                results.append(values)
            else:
                out[part] = values
    return np.concatenate(results) if out is None else out


def output_function(
    network: EncoderNetwork, output: str | None, seed: int
) -> Callable[[Tensor], Tensor]:
    """Return a function that maps rows to the selected output.

    The output None means z, "sample" means one draw of z, and any other name means the output of
    that submodule. Two functions with the same seed draw the same noise if the numbers of rows are
    the same.
    """
    if output is None:
        return lambda x: network(x).z
    if output != "sample":
        network.check_layer("output", output)
        return lambda x: network.layer(x, output)
    generator = torch.Generator().manual_seed(seed)
    width = network.head.n_components

    def sample(x: Tensor) -> Tensor:
        noise = torch.randn(1, len(x), width, generator=generator, dtype=x.dtype, device="cpu")
        return network.draws(x, noise.to(x.device))[0]

    return sample


def averaged_predictions(
    network: EncoderNetwork, n_samples: int, seed: int, task: str
) -> Callable[[Tensor], Tensor]:
    """Return a function that maps rows to float64 predictions, averaged over draws of z.

    For classification, predictions are probabilities. All rows use the same noise. With 0 draws,
    predictions use the mean of z.
    """
    size = (int(n_samples), network.head.n_components)
    draws = np.random.RandomState(seed).standard_normal(size).astype(np.float32)

    def averaged(x: Tensor) -> Tensor:
        noise = torch.from_numpy(draws).to(x.device) if n_samples else None
        raw = network.predictions(x, noise).double()
        return (raw.softmax(-1) if task == "classification" else raw).mean(0)

    return averaged


def _chunk_rows(network: nn.Module, n_features: int, device: torch.device) -> int:
    """Return the number of rows in a chunk, which decreases with the width of the widest layer."""
    if getattr(network, "input_shape", None) is not None:
        return max(256, CHUNK_VALUES // (n_features * VALUES_OF_A_PIXEL))
    layers = [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)]
    values = CPU_CHUNK_VALUES if device.type == "cpu" else CHUNK_VALUES
    return max(256, values // max(n_features, *layers, 1))


class Representation(nn.Module):
    """Trained network as a module with one input tensor, for export.

    The module is a copy of the network on the CPU in evaluation mode, without corruption and random
    draws. Batch norms use running averages. The module is a valid input of ``torch.export.export``,
    ``torch.onnx.export`` and ``torch.compile``.

    Parameters
    ----------
    network : EncoderNetwork
        Trained network, such as ``MIGEEncoder().fit(X).module_``.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import (
    ...     DeterministicHead, EncoderNetwork, MLPEncoder, Representation
    ... )
    >>> network = EncoderNetwork(MLPEncoder(4, 2), DeterministicHead(2))
    >>> rows = torch.zeros(5, 4)
    >>> program = torch.export.export(Representation(network), (rows,))
    >>> program.module()(rows).shape
    torch.Size([5, 2])
    """

    def __init__(self, network: EncoderNetwork) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError(
                f"network must be a trained network, got {type(network).__name__}: pass module_ "
                "of a fitted MIGEEncoder"
            )
        super().__init__()
        self.network = copy.deepcopy(network).cpu().requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Representation:
        """Keep the module in evaluation mode, for any value of ``mode``."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 representations (M, K) of the rows x (M, n_features)."""
        return self.network(x).z
