"""Running the net for an encoder: seeds, progress, interruptions, what is remembered."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from skorch.callbacks import Callback, PrintLog
from skorch.exceptions import SkorchException
from skorch.helper import predefined_split
from torch.utils.data import Subset

from sk_mige.networks import EncoderNetwork, StandardizingHead
from sk_mige.training import (
    ArrayDataset,
    NonFiniteLossError,
    TrainingProgress,
    build_net,
    input_alignment,
    join_processes,
    make_accelerator,
    make_optimizer,
    resident,
    resolve_device,
    seeded,
)
from sk_mige.training.run_identity import settings_in_words

from ._encoder_attributes import EncoderAttributes
from ._encoder_bottleneck import expect_weighted_classes, n_draws, uses_closed_form
from ._encoder_building import Architecture, build_objective, expect_something_to_learn
from ._encoder_callbacks import own_callbacks, with_callbacks
from ._encoder_continuing import same
from ._encoder_features import layer_error
from ._layer_sizes import as_sizes
from ._rows import to_rows
from ._targets import expect_classes_to_split

__all__ = ["TrainingMixin"]

# A few rows a parameter settle a K × K map.
ALIGNMENT_ROWS = 10_000


class TrainingMixin(EncoderAttributes):
    """The part of :class:`MIGEEncoder` that trains and evaluates its network."""

    def _start(self, n_targets: int) -> None:
        """A fresh network and net for data of ``n_features_in_`` features."""
        self._device = resolve_device(self.device)
        rng = check_random_state(self.random_state)
        self._seed = int(rng.randint(np.iinfo(np.int32).max))
        if self.distributed:
            self._device, self._seed = join_processes(self._device, self._seed)
        self._architecture = self._asked(n_targets)
        self.history_: list[dict[str, Any]] = []
        self.n_iter_ = 0
        with seeded(self._seed, self._device):
            module = self._architecture.build()
            layers = dict(module.encoder.named_modules())
            if self.output is not None and self.output not in ("sample", *layers):
                raise layer_error(module, "output", self.output)
            if getattr(self, "_class_weights", None) is not None:
                expect_weighted_classes(module, self._class_weights)
            self._build_net(module)

    def _asked(self, n_targets: int) -> Architecture:
        """The network that the parameters ask for as they are now."""
        return Architecture(
            n_features=self.n_features_in_,
            n_components=int(self.n_components),
            mode=self.mode,
            encoder=self.encoder,
            head=self.head,
            hidden_layer_sizes=as_sizes(self.hidden_layer_sizes),
            input_shape=None if self.input_shape is None else tuple(self.input_shape),
            output_scale=self.output_scale,
            corruption=float(self.corruption),
            n_targets=n_targets,
            dropout=float(self.dropout),
            n_draws=n_draws(self),
            augmentation=self.augmentation if self.mode == "infomax" else None,
            n_views=int(self.n_views) if self.mode == "infomax" else 1,
            feature_layer=self.feature_layer,
            local_features=self.local_features,
            mixed_precision=self.mixed_precision,
        )

    def _build_net(self, module: EncoderNetwork) -> None:
        self.module_ = module.to(self._device)
        objective = self._objective()
        expect_something_to_learn(module, objective)
        self._built_with = {
            name: getattr(self, name) for name in ("optimizer", "device", "distributed")
        }
        self.net_ = build_net(
            self.module_,
            objective,
            optimizer=make_optimizer(self.optimizer, self._device),
            lr=self.lr,
            batch_size=int(self.batch_size),
            max_epochs=int(self.max_epochs),
            device=self._device,
            # Continues elsewhere in the sequence after loading a pickle.
            generator=torch.Generator().manual_seed(self._seed + self.n_iter_),
            callbacks=self._own_callbacks(),
            verbose=max(0, int(self.verbose) - 1),
            accelerator=make_accelerator(self._device) if self.distributed else None,
        )

    def _own_callbacks(self) -> list[Any]:
        """Copies of the callbacks, and the printing one; which they are of is remembered."""
        copies = own_callbacks(self.callbacks) + [PrintLog()] * (self.verbose > 1)
        self._copied_callbacks = [*(self.callbacks or ()), self.verbose > 1]
        return copies

    def _objective(self, previous: Any = None) -> Any:
        built = self._architecture
        return build_objective(
            mode=built.mode,
            task=getattr(self, "task_", None),
            score_estimator=self.score_estimator,
            n_features=built.n_features,
            n_targets=built.n_targets,
            x_scale=self.x_scale,
            beta=self.beta,
            marginal=self.marginal,
            seed=self._seed,
            device=self._device,
            mi_estimator=self.mi_estimator,
            critic=self.critic,
            n_components=built.n_components,
            n_views=built.n_views,
            prior=self.prior,
            prior_weight=self.prior_weight,
            feature_shape=self.module_.feature_shape,
            local_features=built.local_features,
            mixed_precision=built.mixed_precision,
            closed_form=uses_closed_form(self),
            max_information=self.max_information,
            class_weights=getattr(self, "_class_weights", None),
            label_smoothing=self.label_smoothing,
            confidence_penalty=self.confidence_penalty,
            previous=previous,
        )

    def _refresh(self) -> None:
        """Let parameters that were set since the last call take part in the next one."""
        net = self.net_
        net.criterion_ = self._objective(net.criterion_)
        net.batch_size = int(self.batch_size)
        net.verbose = max(0, int(self.verbose) - 1)
        # The same ones go on with what they know, such as the best loss so far.
        if not same(self._copied_callbacks, [*(self.callbacks or ()), self.verbose > 1]):
            net.callbacks = self._own_callbacks()
            net.initialize_callbacks()
        for group in net.optimizer_.param_groups:
            group["lr"] = self.lr

    def _train(
        self,
        X: Any,
        y: Any,
        epochs: int,
        extra: list[Callback] | None = None,
        validation_fraction: float | None = None,
    ) -> None:
        """Run epochs on the net; whatever stops it, the estimator stays usable."""
        net = self.net_
        done = len(net.history)
        callbacks = list(extra or [])
        if self.verbose == 1 and net.rank == 0:
            callbacks.append(TrainingProgress(epochs, type(self).__name__))
        seed = int(torch.randint(2**31 - 1, (1,), generator=net.generator, device="cpu"))
        data: Any = ArrayDataset(resident(to_rows(X), self._device), y)
        if validation_fraction is not None:
            data, held_out = self._split(data, validation_fraction)
            net.train_split = predefined_split(held_out)
        settings = self.get_params()  # type: ignore[attr-defined]
        net.run_settings = settings_in_words(settings)
        try:
            with seeded(seed + net.rank, self._device), with_callbacks(net, callbacks):
                self._run(data, epochs, done)
        except (KeyError, SkorchException) as error:
            if "valid_loss" not in str(error):
                raise
            raise ValueError(
                "one of the callbacks watches 'valid_loss', which is recorded by fit with "
                f"validation_fraction alone, got validation_fraction={validation_fraction}: "
                "set it, or give the callback another monitor, such as 'train_loss'"
            ) from error
        finally:
            net.train_split = None
            self._remember(done)

    def _run(self, data: Any, epochs: int, done: int) -> None:
        net = self.net_
        net.notify("on_train_begin", X=data, y=None)
        try:
            # A checkpoint may have brought finished epochs.
            left = epochs - (len(net.history) - done)
            net.fit_loop(data, epochs=max(0, left))
        except KeyboardInterrupt:
            self._report_interruption()
        except NonFiniteLossError as error:
            self._recover(error)
        finally:
            net.notify("on_train_end", X=data, y=None)

    def _remember(self, done: int) -> None:
        """What the run has come to, finished or not."""
        net = self.net_
        self.history_ = self.history_ + [_plain(row) for row in net.history[done:] if "dur" in row]
        self.n_iter_ = len(self.history_)
        if self.mode == "ib":
            self.beta_ = float(net.criterion_.price)
        self.module_.eval()

    def _split(self, data: ArrayDataset, fraction: float) -> tuple[Any, Any]:
        """Rows to train on and rows for the validation loss, alike in their classes."""
        classes = data.y if getattr(self, "task_", None) == "classification" else None
        if classes is not None:
            expect_classes_to_split(self.classes_, classes, fraction)
        parts = train_test_split(
            np.arange(len(data)), test_size=fraction, random_state=self._seed, stratify=classes
        )
        train, held_out = (Subset(data, rows.tolist()) for rows in parts)
        return train, held_out

    def _align(self, X: Any) -> None:
        """Give z the units of the input, by some ten thousand of the rows."""
        head, rows = self.module_.head, to_rows(X)
        assert isinstance(head, StandardizingHead)
        order = torch.randperm(len(rows), generator=self.net_.generator, device="cpu")
        data = ArrayDataset(rows)
        batches = (
            data[part.tolist()][0].to(self._device)
            for part in torch.split(order[:ALIGNMENT_ROWS], 512)
        )
        head.alignment.copy_(torch.eye(head.n_components))
        self.module_.eval()
        head.alignment.copy_(input_alignment(lambda x: self.module_(x).z, batches))
        if torch.equal(head.alignment, torch.eye(head.n_components).to(head.alignment)):
            warnings.warn(
                "the representation has collapsed: it is the same for all rows. Put a scaler "
                "such as StandardScaler before the encoder if X varies little beside its mean "
                "or is tiny; else a smaller lr or another encoder may help",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _report_interruption(self) -> None:
        if "dur" in self.net_.history[-1]:
            return  # a callback, such as early stopping, ended training after an epoch
        warnings.warn(
            f"training was interrupted in epoch {len(self.net_.history)}; the encoder keeps what "
            "it has learned so far",
            UserWarning,
            stacklevel=5,
        )

    def _recover(self, error: NonFiniteLossError) -> None:
        self.net_.restore_weights()
        advice = "a smaller lr, a scaler before the encoder, or larger batches may help"
        if error.epoch == 1 and error.step == 1:
            raise ValueError(f"{error}, before any weight changed: {advice}") from error
        warnings.warn(
            f"{error}; training stopped and the weights of the last finite loss are kept: {advice}",
            ConvergenceWarning,
            stacklevel=5,
        )


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """One epoch's record without its batches and skorch's bookkeeping."""
    return {
        key: float(value) if isinstance(value, np.floating) else value
        for key, value in row.items()
        if key != "batches" and not key.endswith(("_best", "_batch_count"))
    }
