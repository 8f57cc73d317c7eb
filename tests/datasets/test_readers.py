"""Readers of image files: pixels and labels have the positions of the official formats."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from sk_mige.datasets import (
    fetch_cifar10,
    fetch_cifar100,
    fetch_fashion_mnist,
    fetch_mnist,
    fetch_stl10,
)


def _as_camera_images(bunch):
    """The images of the files, of shape (n, height, width, channels)."""
    return bunch.data.reshape(-1, *bunch.image_shape).transpose(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("fetch", "folder", "name"),
    [(fetch_mnist, "mnist", "3"), (fetch_fashion_mnist, "fashion-mnist", "Dress")],
)
@pytest.mark.parametrize(("subset", "prefix"), [("train", "train"), ("test", "t10k")])
def test_idx_images(write_mnist, fetch, folder, name, subset, prefix):
    images, labels = write_mnist(folder, prefix=prefix)
    bunch = fetch(subset=subset)
    assert bunch.image_shape == (1, 28, 28)
    np.testing.assert_array_equal(_as_camera_images(bunch), images)
    np.testing.assert_array_equal(bunch.target, labels)
    assert bunch.target_names[3] == name
    assert len(bunch.target_names) == 10
    assert "28 x 28" in bunch.DESCR


def test_cifar10_joins_its_batches_in_order(write_cifar10_set):
    train, test = write_cifar10_set()
    bunch = fetch_cifar10()
    assert bunch.data.shape == (10, 3072)
    assert bunch.image_shape == (3, 32, 32)
    np.testing.assert_array_equal(_as_camera_images(bunch), train)
    assert bunch.target.tolist() == [0, 2, 1, 2, 2, 2, 3, 2, 4, 2]
    assert bunch.target_names[4] == "class 4"
    bunch = fetch_cifar10(subset="test")
    np.testing.assert_array_equal(_as_camera_images(bunch), test)
    assert bunch.target.tolist() == [9, 8, 7]


def test_cifar100_has_the_group_first_and_the_class_second(write_cifar100_set):
    images = write_cifar100_set()
    bunch = fetch_cifar100(subset="test")
    np.testing.assert_array_equal(_as_camera_images(bunch), images)
    assert bunch.target.tolist() == bunch.fine_target.tolist() == [2, 1, 0]
    assert bunch.coarse_target.tolist() == [1, 0, 0]
    assert bunch.target_names == ["ray", "shark", "rose"]
    groups = fetch_cifar100(subset="test", labels="coarse")
    np.testing.assert_array_equal(groups.target, bunch.coarse_target)
    assert groups.target_names == ["fish", "flowers"]
    with pytest.raises(ValueError, match="labels must be 'fine' or 'coarse'; got 'medium'"):
        fetch_cifar100(labels="medium")


@pytest.mark.parametrize("mmap", [False, True])
def test_stl10_turns_columns_to_rows_and_counts_from_zero(write_stl10, mmap):
    images = write_stl10()
    bunch = fetch_stl10(mmap=mmap)
    assert bunch.image_shape == (3, 96, 96)
    np.testing.assert_array_equal(_as_camera_images(bunch), images)
    assert bunch.target.tolist() == [0, 1, 2, 0]
    assert bunch.target_names == ["airplane", "bird", "car"]
    assert [fold.tolist() for fold in bunch.folds] == [[0, 2], [1, 3]] * 5


@pytest.mark.parametrize("subset", ["test", "unlabeled"])
def test_stl10_has_folds_in_its_training_set_only(write_stl10, subset):
    images = write_stl10(subset)
    bunch = fetch_stl10(subset=subset)
    np.testing.assert_array_equal(_as_camera_images(bunch), images)
    assert "folds" not in bunch
    assert bunch.target.tolist() == ([-1] * 4 if subset == "unlabeled" else [0, 1, 2, 0])


def test_stl10_maps_a_copy_that_is_written_once_and_again_when_outdated(write_stl10, data_home):
    write_stl10("unlabeled")
    first = fetch_stl10(subset="unlabeled", mmap=True).data
    assert isinstance(first, np.memmap)
    assert not first.flags.writeable
    copy = data_home / "stl10_binary" / "unlabeled_X.rows.npy"
    written = copy.stat().st_mtime_ns
    fetch_stl10(subset="unlabeled", mmap=True)
    assert copy.stat().st_mtime_ns == written

    official = copy.with_name("unlabeled_X.bin")
    official.write_bytes(bytes(2 * 27648))
    os.utime(official, ns=(written + 10**9, written + 10**9))
    assert not fetch_stl10(subset="unlabeled", mmap=True).data.any()
    assert sorted(p.name for p in copy.parent.iterdir()) == [
        "class_names.txt",
        "unlabeled_X.bin",
        "unlabeled_X.rows.npy",
    ]


def test_stl10_cannot_scale_a_map():
    with pytest.raises(ValueError, match=r"mmap=True .* use as_float=False"):
        fetch_stl10(mmap=True, as_float=True)


@pytest.fixture(params=["mnist", "cifar10", "cifar100", "stl10"])
def fetch_written(
    request, data_home, write_mnist, write_cifar10_set, write_cifar100_set, write_stl10
):
    """Each reader, with a small test set."""
    if request.param == "mnist":
        write_mnist(prefix="t10k")
        return fetch_mnist
    if request.param == "cifar10":
        write_cifar10_set()
        return fetch_cifar10
    if request.param == "cifar100":
        write_cifar100_set()
        return fetch_cifar100
    write_stl10("test")
    return fetch_stl10


def test_every_reader_gives_bytes_or_floats_in_the_unit_interval(fetch_written):
    raw = fetch_written(subset="test")
    assert raw.data.dtype == np.uint8
    assert raw.target.dtype == np.int64
    assert raw.data.flags.c_contiguous
    assert raw.data.flags.writeable
    assert raw.data.shape == (len(raw.target), np.prod(raw.image_shape))
    scaled = fetch_written(subset="test", as_float=True).data
    assert scaled.dtype == np.float32
    assert scaled.max() <= 1
    np.testing.assert_allclose(scaled * 255, raw.data, rtol=1e-6)
    X, y = fetch_written(subset="test", return_X_y=True)
    np.testing.assert_array_equal(X, raw.data)
    np.testing.assert_array_equal(y, raw.target)


def test_every_bunch_can_be_pickled(fetch_written):
    raw = fetch_written(subset="test")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(raw)).data, raw.data)


def test_data_home_may_be_given_instead_of_the_environment(fetch_written, data_home, monkeypatch):
    expected = fetch_written(subset="test").data
    monkeypatch.setenv("SK_MIGE_DATA", "/nowhere")
    np.testing.assert_array_equal(fetch_written(subset="test", data_home=data_home).data, expected)


def test_unknown_subsets_are_refused(fetch_written):
    with pytest.raises(
        ValueError, match="subset must be one of 'train', 'test'.*; got 'validation'"
    ):
        fetch_written(subset="validation")
