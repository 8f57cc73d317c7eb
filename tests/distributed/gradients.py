"""Compare gradients of two torchrun processes with gradients of one process on the joint batch."""

from __future__ import annotations

import copy
import sys
import warnings
from typing import Any

import torch
from torch import nn

from sk_mige.networks import (
    Code,
    ConditionedHead,
    DeterministicHead,
    EncoderNetwork,
    GaussianHead,
    MLPEncoder,
    StandardizingHead,
)
from sk_mige.objectives import CriticBound, CriticInfoMax, MIGEInfoMax, Objective
from sk_mige.score import ssge
from sk_mige.training import Trainer
from sk_mige.training.data import ArrayDataset
from sk_mige.training.processes import make_accelerator

warnings.simplefilter("error", FutureWarning)  # warnings of deprecated functions

N, D, K, BATCH = 49, 6, 3, 25  # for odd N, shares differ by a row


class Likelihood(Objective):
    """A loss of codes and targets with a trained parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, K))

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        mean, scale = code.conditional
        loss: torch.Tensor = (mean @ self.weight - y).square().mean() + scale.log().mean()
        return loss + MIGEInfoMax(ssge)(Code(mean), x, y)


class Weighted(Likelihood):
    """The same loss, weighted by the β of the batch."""

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return code.beta * super().forward(code, x, y)


def normed() -> nn.Module:
    return nn.Sequential(MLPEncoder(D, 8, (16,)), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, K))


def problems() -> dict[str, tuple[Any, Any]]:
    return {
        "infomax": (EncoderNetwork(normed(), StandardizingHead(K)), MIGEInfoMax(ssge)),
        "bfloat16": (
            EncoderNetwork(normed(), StandardizingHead(K), mixed_precision=True),
            MIGEInfoMax(ssge),
        ),
        "bottleneck": (EncoderNetwork(MLPEncoder(D, 2 * K, (16,)), GaussianHead(K)), Likelihood()),
        "range of weights": (
            EncoderNetwork(MLPEncoder(D, 2 * K, (16,)), ConditionedHead(GaussianHead(K), 0.1, 2.0)),
            Weighted(),
        ),
        "critic": (
            EncoderNetwork(MLPEncoder(D, K, (16,)), DeterministicHead(K)),
            CriticInfoMax(CriticBound("jsd", D, K)),
        ),
    }


class KeepGradients(torch.optim.SGD):
    """One step of length 1: the change of the weights is the gradient."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, lr=1.0)


def trained(
    module: nn.Module, objective: Objective, X: torch.Tensor, y: torch.Tensor, processes: int
) -> Any:
    trainer = Trainer(
        module,
        objective,
        optimizer=KeepGradients,
        lr=1.0,
        batch_size=-(-2 * BATCH // processes),
        distributed=processes > 1,
    )
    trainer.run(ArrayDataset(X.numpy(), y.numpy()), epochs=1)
    return trainer.net


def main() -> None:
    accelerator = make_accelerator(torch.device("cpu"))
    assert accelerator.num_processes == 2
    generator = torch.Generator().manual_seed(0)
    X, y = torch.randn(N, D, generator=generator), torch.randn(N, generator=generator)
    torch.manual_seed(0)  # weights of an objective are not copied
    for name, (module, objective) in problems().items():
        torch.manual_seed(0)
        start = copy.deepcopy(module)
        alone, alone_objective = copy.deepcopy(module), copy.deepcopy(objective)
        joint = trained(module, objective, X, y, processes=2)
        one = trained(alone, alone_objective, X, y, processes=1)
        before = nn.utils.parameters_to_vector(start.parameters())
        ours = before - nn.utils.parameters_to_vector(module.parameters())
        theirs = before - nn.utils.parameters_to_vector(alone.parameters())
        error = (ours - theirs).norm() / theirs.norm()
        # bfloat16 has three digits.
        tolerance = 5e-2 if name == "bfloat16" else 1e-5
        assert error < tolerance, f"{name}: the gradient differs by {error:.1e}"
        accelerator.print(f"{name}: relative difference {error:.1e}")
        for key, value in module.named_buffers():
            torch.testing.assert_close(
                value, alone.get_buffer(key), rtol=tolerance, atol=tolerance / 10
            )
        for key, value in objective.named_parameters():
            torch.testing.assert_close(
                value, alone_objective.get_parameter(key), rtol=1e-5, atol=1e-6
            )
        loss, expected = (net.history[-1, "train_loss"] for net in (joint, one))
        assert abs(loss - expected) < tolerance * max(1.0, abs(expected)), (name, loss, expected)
        assert joint.rank == accelerator.process_index
    accelerator.print(f"{len(problems())} problems agree")
    accelerator.end_training()


if __name__ == "__main__":
    sys.exit(main())
