"""Data sets and images as X: the same fit for every type of input."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from skorch.helper import SliceDataset
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from sk_mige import InfoMax, InformationBottleneck, MIGEEncoder
from sk_mige.training import Checkpoint
from sk_mige.training.data import read_parts
from sk_mige.training.items import ItemRows

from .conftest import small

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(96, 64)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(int)
IMAGES = ROWS.reshape(96, 1, 8, 8)
PAIRS = TensorDataset(torch.as_tensor(IMAGES), torch.as_tensor(LABELS))


class Items(Dataset[Any]):
    """Data set of given items, each read by a function of the index."""

    def __init__(self, read: Callable[[int], Any], n: int = 96) -> None:
        self.read, self.n = read, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        return self.read(index)


class Mappings:
    """Data set as in Hugging Face, with dictionaries as items and no torch class."""

    shape = (96, 3)

    def __len__(self) -> int:
        return 96

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": torch.as_tensor(IMAGES[index]), "label": LABELS[index], "id": str(index)}


class Folder:
    """Images and classes in a folder, as in torchvision's ImageFolder with ToTensor."""

    def __init__(self, root: Path) -> None:
        self.files = sorted(root.glob("*.png"))
        self.targets = [int(file.stem[-1]) for file in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        pixels = np.asarray(Image.open(self.files[index]), dtype=np.float32) / 255
        return torch.as_tensor(pixels)[None], self.targets[index]


def pair(index: int) -> tuple[np.ndarray, int]:
    return IMAGES[index], LABELS[index]


def broken(value: Any) -> Items:
    """Return a data set of 600 images in which item 500 is a value or raises an exception."""

    def read(i: int) -> Any:
        if i == 500 and isinstance(value, Exception):
            raise value
        return value if i == 500 else IMAGES[i % 96]

    return Items(read, n=600)


def weights(encoder: MIGEEncoder) -> dict[str, torch.Tensor]:
    return dict(encoder.module_.state_dict())


def assert_equal_weights(a: MIGEEncoder, b: MIGEEncoder) -> None:
    assert all(torch.equal(weights(a)[name], weights(b)[name]) for name in weights(a))


SOURCES = {
    "images": IMAGES,
    "images of one channel": IMAGES[:, 0],
    "list of images": list(IMAGES),
    "nested lists of tensors with a graph": [
        list(image) for image in torch.tensor(IMAGES, requires_grad=True)
    ],
    "TensorDataset": PAIRS,
    "inputs alone": TensorDataset(torch.as_tensor(IMAGES)),
    "flat inputs": Items(lambda i: ROWS[i]),
    "own data set": Items(pair),
    "mappings": Mappings(),
    "Subset": Subset(PAIRS, range(96)),
    "SliceDataset": SliceDataset(PAIRS),
    "loader of single items": DataLoader(PAIRS, batch_size=None),
    "worker processes": DataLoader(PAIRS, batch_size=None, num_workers=2),
}
MODES = {
    "infomax": "infomax",
    "units of the input": InfoMax(output_scale="input"),
    "bottleneck": "ib",
    "regression": InformationBottleneck(task="regression"),
}


@pytest.mark.parametrize(
    ("source", "mode"),
    [
        *[(source, "infomax") for source in SOURCES],
        *[("own data set", mode) for mode in MODES if mode != "infomax"],
    ],
)
def test_a_fit_does_not_depend_on_the_source_of_the_rows(source: str, mode: str) -> None:
    of_rows = small(MODES[mode]).fit(ROWS, LABELS)
    encoder = small(MODES[mode]).fit(SOURCES[source], LABELS)
    assert_equal_weights(encoder, of_rows)
    assert encoder.n_features_in_ == 64
    expected = of_rows.transform(ROWS)
    assert np.array_equal(encoder.transform(SOURCES[source]), expected)
    assert np.array_equal(encoder.transform(ROWS), expected)


def test_a_seed_determines_the_random_changes_of_items_by_torch() -> None:
    noisy = Items(lambda i: torch.as_tensor(ROWS[i]) + torch.randn(64))
    for mode in ("infomax", "units of the input"):
        assert_equal_weights(small(MODES[mode]).fit(noisy), small(MODES[mode]).fit(noisy))


@pytest.mark.parametrize("source", SOURCES)
def test_convolutions_take_the_shape_of_images_from_x(source: str) -> None:
    shape = None if source != "flat inputs" else (1, 8, 8)
    settings = {"encoder": "conv", "max_epochs": 1}
    of_rows = small(input_shape=(1, 8, 8), **settings).fit(ROWS)
    encoder = small(input_shape=shape, **settings).fit(SOURCES[source])
    assert_equal_weights(encoder, of_rows)
    assert np.array_equal(encoder.transform(IMAGES), of_rows.transform(ROWS))


@pytest.mark.parametrize("source", ["TensorDataset", "own data set", "mappings", "Subset"])
@pytest.mark.parametrize("mode", ["bottleneck", "regression"])
def test_a_bottleneck_takes_the_targets_of_a_data_set(source: str, mode: str) -> None:
    data = SOURCES[source]
    of_rows = small(MODES[mode]).fit(ROWS, LABELS)
    encoder = small(MODES[mode]).fit(data)
    assert_equal_weights(encoder, of_rows)
    assert np.array_equal(encoder.predict(data), of_rows.predict(ROWS))
    assert encoder.score(data) == encoder.score(data, LABELS) == of_rows.score(ROWS, LABELS)


def test_probabilities_and_held_out_rows_of_a_data_set_are_those_of_its_rows() -> None:
    encoder = small("ib", validation_fraction=0.25).fit(PAIRS)
    of_rows = small("ib", validation_fraction=0.25).fit(ROWS, LABELS)
    assert encoder.history_[-1]["valid_loss"] == of_rows.history_[-1]["valid_loss"]
    assert np.array_equal(encoder.predict_proba(PAIRS), of_rows.predict_proba(ROWS))


def test_given_targets_replace_those_of_a_data_set() -> None:
    encoder = small("ib").fit(PAIRS, LABELS.astype(str))
    assert encoder.classes_.tolist() == ["0", "1"]
    assert encoder.score(PAIRS, LABELS.astype(str)) == encoder.score(ROWS, LABELS.astype(str))


def test_targets_may_be_a_slice_data_set() -> None:
    encoder = small("ib").fit(SliceDataset(PAIRS), SliceDataset(PAIRS, idx=1))
    assert_equal_weights(encoder, small("ib").fit(ROWS, LABELS))


def test_stored_targets_that_differ_from_the_items_are_not_used() -> None:
    data = Items(pair)
    data.targets = 1 - LABELS  # type: ignore[attr-defined]
    assert_equal_weights(small("ib").fit(data), small("ib").fit(ROWS, LABELS))


def test_a_custom_loss_gets_the_targets_of_a_data_set() -> None:
    seen: list[int] = []

    def loss(code: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.extend(y.tolist())
        return code.z.square().mean()

    small(loss, max_epochs=1).fit(PAIRS)
    assert sum(seen) == LABELS.sum() > 0


def test_a_data_set_without_targets_needs_y_for_a_bottleneck() -> None:
    with pytest.raises(ValueError, match="requires y"):
        small("ib").fit(Items(lambda i: IMAGES[i]))
    encoder = small("ib").fit(PAIRS)
    with pytest.raises(ValueError, match="needs y, the true targets"):
        encoder.score(IMAGES)


def test_folders_of_images_are_read_item_by_item(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, size=(40, 8, 8), dtype=np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i:02d}_{i % 2}.png")
    rows = pixels.reshape(40, 64).astype(np.float32) / 255
    folder = small("ib", encoder="conv", input_shape=(1, 8, 8)).fit(Folder(tmp_path))
    of_rows = small("ib", encoder="conv", input_shape=(1, 8, 8)).fit(rows, np.arange(40) % 2)
    assert_equal_weights(folder, of_rows)


def test_parts_of_a_stream_may_be_data_sets() -> None:
    of_rows, encoder = small(), small()
    for half in (range(48), range(48, 96)):
        of_rows.partial_fit(ROWS[half])
        encoder.partial_fit(Subset(PAIRS, half))
    assert_equal_weights(encoder, of_rows)


def test_bytes_and_double_precision_are_read_as_arrays_are() -> None:
    pixels = RNG.integers(0, 256, size=(64, 16), dtype=np.uint8)
    for rows in (pixels, pixels.astype(np.float64) / 255):
        data = TensorDataset(torch.as_tensor(rows))
        encoder, of_rows = small().fit(data), small().fit(rows)
        assert_equal_weights(encoder, of_rows)
        assert encoder.transform(data).dtype == of_rows.transform(rows).dtype


@pytest.mark.parametrize("dtype", [">f4", "uint16", "float16", "bool"])
def test_arrays_of_every_real_type_are_items(dtype: str) -> None:
    rows = (ROWS > 0).astype(dtype)
    encoder = small().fit(Items(lambda i: rows[i]))
    assert_equal_weights(encoder, small().fit(rows.astype(np.float32)))


def test_checkpoints_resume_a_training_on_a_data_set(tmp_path: Path) -> None:
    def encoder(epochs: int) -> MIGEEncoder:
        return small(
            lr_schedule="constant", max_epochs=epochs, callbacks=[Checkpoint(tmp_path / "run.pt")]
        )

    encoder(2).fit(PAIRS)
    resumed = encoder(3).fit(PAIRS)
    assert_equal_weights(resumed, small(lr_schedule="constant").fit(ROWS))


def test_images_on_disk_are_not_read_into_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert_equal_weights(small().fit(images), small().fit(ROWS))


@pytest.mark.parametrize("source", SOURCES)
def test_the_score_without_labels_does_not_depend_on_the_source(source: str) -> None:
    encoder = small().fit(ROWS)
    assert encoder.score(SOURCES[source]) == encoder.score(ROWS)


def test_searches_without_labels_split_indices() -> None:
    grid = {"n_components": [2, 3]}
    found = [
        GridSearchCV(small(max_epochs=1), grid, cv=2).fit(data).cv_results_["mean_test_score"]
        for data in (SliceDataset(PAIRS), ROWS)
    ]
    assert found[0].tolist() == found[1].tolist()


def test_searches_split_indices_as_they_split_rows() -> None:
    grid = {"n_components": [2, 3]}
    search = GridSearchCV(small("ib", max_epochs=1), grid, cv=2).fit(SliceDataset(PAIRS), LABELS)
    of_rows = GridSearchCV(small("ib", max_epochs=1), grid, cv=2).fit(ROWS, LABELS)
    scores = [found.cv_results_["mean_test_score"].tolist() for found in (search, of_rows)]
    assert scores[0] == scores[1]


def test_items_of_a_slice_data_set_are_read_by_integers_of_python() -> None:
    data = Items(lambda i: IMAGES[i] if type(i) is int else None)
    assert_equal_weights(small().fit(SliceDataset(data, idx=slice(None))), small().fit(ROWS))


def test_a_search_in_two_processes_takes_data_sets() -> None:
    pipeline = make_pipeline(small(max_epochs=1), LogisticRegression())
    data = SliceDataset(PAIRS)
    scores = [cross_val_score(pipeline, data, LABELS, cv=2, n_jobs=n).tolist() for n in (1, 2)]
    assert scores[0] == scores[1] == cross_val_score(pipeline, ROWS, LABELS, cv=2).tolist()


def test_a_data_set_that_was_split_into_lists_is_refused_with_the_way_to_indices() -> None:
    with pytest.raises(TypeError, match="SliceDataset"):
        cross_val_score(small("ib"), PAIRS, LABELS, cv=2, error_score="raise")


def test_a_fitted_encoder_keeps_no_data() -> None:
    encoder = small("ib").fit(PAIRS)
    assert len(pickle.dumps(encoder)) < len(pickle.dumps(small("ib").fit(ROWS, LABELS))) + 100
    restored = pickle.loads(pickle.dumps(encoder))
    assert np.array_equal(restored.predict(PAIRS), encoder.predict(ROWS))
    assert_equal_weights(clone(encoder).fit(PAIRS), encoder)


@pytest.mark.parametrize("data", [ROWS, IMAGES, PAIRS], ids=["rows", "images", "data set"])
def test_results_can_be_written_to_a_memory_map(data: Any, tmp_path: Path) -> None:
    encoder = small().fit(ROWS)
    file = tmp_path / "z.npy"
    out = np.lib.format.open_memmap(file, mode="w+", dtype="float32", shape=(96, 3))
    assert encoder.transform(data, out=out) is out
    assert np.array_equal(np.load(file), encoder.transform(ROWS))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.empty((95, 3)), r"out must have the shape \(96, 3\).*\(95, 3\)"),
        (np.empty((96, 3), dtype=int), "writable NumPy array or memory map of floats.*int64"),
        (torch.empty(96, 3), "got Tensor: pass np.lib.format.open_memmap"),
        (np.broadcast_to(np.float32(0), (96, 3)), "writable"),
    ],
)
def test_outputs_that_cannot_hold_the_result_are_refused(out: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        small().fit(ROWS).transform(ROWS, out=out)


BROKEN = {
    "unreadable": (OSError("truncated file"), "item 500 of X cannot be read, OSError: truncated"),
    "other shape": (np.zeros((1, 9, 8), np.float32), r"item 500 of X has the shape \(1, 9, 8\)"),
    "other dtype": (np.zeros((1, 8, 8)), "item 500 of X has .*float64, but item 0 .*float32"),
    "NaN": (np.full((1, 8, 8), np.nan, np.float32), "item 500 of X contains NaN"),
    "three parts": ((IMAGES[0], 1, 2), "item 500 of X has 3 parts"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_item_is_named_and_what_was_learnt_is_kept(name: str) -> None:
    value, message = BROKEN[name]
    encoder = small(batch_size=8).fit(ROWS)
    before = {name: weight.clone() for name, weight in weights(encoder).items()}
    with pytest.raises(ValueError, match=message):
        encoder.set_params(warm_start=True).fit(broken(value))
    after = weights(encoder)
    assert any(not torch.equal(after[name], before[name]) for name in before)
    assert np.isfinite(encoder.transform(IMAGES)).all()
    assert len(encoder.history_) == 3
    with pytest.raises(ValueError, match=message):
        encoder.transform(broken(value))


def test_the_index_of_a_broken_item_comes_from_worker_processes_too() -> None:
    data = DataLoader(broken(OSError("truncated")), batch_size=None, num_workers=1)
    with pytest.raises(ValueError, match="item 500 of X cannot be read"):
        small().fit(ROWS).transform(data)


def test_validation_reads_a_first_block_of_items_once() -> None:
    read: list[int] = []

    def counted(index: int) -> np.ndarray:
        read.append(index)
        if index > 255:
            raise OSError("the training reads further")
        return IMAGES[index % 96]

    with pytest.raises(ValueError, match="the training reads further"):
        small().fit(Items(counted, n=5000))
    assert read[:-1] == [0, *range(256)]  # item 0 gives the shape


class Stream(IterableDataset[Any]):
    """Data set without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(PAIRS)


REFUSED = {
    "empty": (Subset(PAIRS, []), "Subset without items"),
    "single": (Subset(PAIRS, [0]), "at least 2"),
    "stream": (Stream(), "Stream without a length.*partial_fit"),
    "stream of a loader": (DataLoader(Stream()), "Stream without a length"),
    "batches": (DataLoader(PAIRS, batch_size=4), r"DataLoader\(X.dataset, batch_size=None"),
    "order": (DataLoader(PAIRS, batch_size=None, shuffle=True), "the order or a collate_fn"),
    "numbers": (Items(lambda i: float(i)), "item 0 of X is a float"),
    "no dimension": (Items(lambda i: torch.tensor(i)), r"has the shape \(\)"),
    "pictures": (Items(lambda i: Image.new("L", (8, 8))), "is a Image.*ToTensor"),
    "two views": (Items(lambda i: ((IMAGES[i], IMAGES[i]), 0)), "tuple of 2 inputs.*n_views"),
    "strings": (Items(lambda i: np.array(["a"])), "dense tensor or array of real numbers"),
    "keys": (Items(lambda i: {"a": IMAGES[i], "b": IMAGES[i]}), r"\['a', 'b'\].*one input"),
    "constant": (Items(lambda i: IMAGES[0]), "X is constant"),
    "other shape": (IMAGES.reshape(96, 1, 4, 16), r"\(1, 4, 16\), but input_shape is \(1, 8, 8\)"),
    "shape of items": (
        Items(lambda i: IMAGES[i].reshape(1, 4, 16)),
        r"\(1, 4, 16\), but input_shape is \(1, 8, 8\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_data_that_cannot_be_trained_on_is_refused_by_name(name: str) -> None:
    data, message = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=message):
        small(input_shape=(1, 8, 8)).fit(data)


def test_queries_need_the_shape_of_the_fit() -> None:
    encoder = small().fit(PAIRS)
    for wrong in (IMAGES.reshape(96, 1, 4, 16), Items(lambda i: IMAGES[i].reshape(1, 4, 16))):
        with pytest.raises(ValueError, match=r"\(1, 4, 16\)"):
            encoder.transform(wrong)
    with pytest.raises(ValueError, match="X has 4 features"):
        encoder.transform(Items(lambda i: np.zeros(4)))


def test_a_set_input_shape_may_add_the_channel() -> None:
    encoder = small(encoder="conv", input_shape=(1, 8, 8), max_epochs=1).fit(IMAGES[:, 0])
    assert_equal_weights(encoder, small(encoder="conv", max_epochs=1).fit(IMAGES))


class Modes(Dataset[Any]):
    """Number of torch's modes that slow the calls of an item."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.full((2,), float(torch._C._len_torch_function_stack()))


def test_worker_processes_decode_items_outside_of_torchs_modes() -> None:
    rows = ItemRows(Modes(), {"num_workers": 1})
    assert [part.sum() for part in read_parts(rows, [[0, 1], [2, 3]])] == [0, 0]


def test_finite_values_whose_sum_overflows_are_accepted() -> None:
    rows = ItemRows(TensorDataset(torch.full((2, 4), 3e38)))
    assert rows[[0, 1]].isfinite().all()
