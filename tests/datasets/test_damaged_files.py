"""Damaged or foreign files: errors that name the file and the fault."""

from __future__ import annotations

import gzip

import pytest

from sk_mige.datasets import fetch_cifar10, fetch_mnist, fetch_stl10


def _truncate(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: _truncate(p, -100), "damaged or incomplete"),
        (lambda p: p.write_bytes(b"not gzip at all"), "damaged or incomplete"),
        (lambda p: p.write_bytes(b"\x1f\x8b\x08\x00" + bytes(6) + b"\xff" * 20), "damaged"),
        (lambda p: p.write_bytes(gzip.compress(b"\0\0")), "not an idx file"),
        (lambda p: p.write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 0]))), "not an idx"),
        (
            lambda p: p.write_bytes(gzip.compress(gzip.decompress(p.read_bytes())[:-5])),
            r"must have the shape \(12, 28, 28\)",
        ),
    ],
)
def test_damaged_idx_files_are_named(write_mnist, data_home, damage, message):
    write_mnist()
    path = data_home / "mnist" / "train-images-idx3-ubyte.gz"
    damage(path)
    with pytest.raises(ValueError, match=f"train-images-idx3-ubyte.gz.*{message}"):
        fetch_mnist()


def test_labels_that_do_not_fit_the_images_are_refused(write_mnist, data_home):
    write_mnist(n=12)
    labels = (data_home / "mnist" / "train-labels-idx1-ubyte.gz").read_bytes()
    write_mnist(n=11)
    (data_home / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(labels)
    with pytest.raises(ValueError, match="12 labels for 11 images"):
        fetch_mnist()


def test_incomplete_rows_are_refused(write_cifar10_set, data_home):
    write_cifar10_set()
    path = data_home / "cifar-10-batches-bin" / "test_batch.bin"
    _truncate(path, -1)
    with pytest.raises(ValueError, match=r"test_batch.bin has 9218 bytes, .* multiple of 3073"):
        fetch_cifar10(subset="test")
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="has 0 bytes"):
        fetch_cifar10(subset="test")


def test_labels_without_a_class_are_refused(write_cifar10_set, data_home):
    write_cifar10_set()
    (data_home / "cifar-10-batches-bin" / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(ValueError, match="labels from 7 to 9, but there are 2 classes"):
        fetch_cifar10(subset="test")


def test_damaged_stl10_files_are_named(write_stl10, data_home):
    write_stl10()
    folder = data_home / "stl10_binary"
    (folder / "fold_indices.txt").write_text("0 4\n" * 10)
    with pytest.raises(ValueError, match="row numbers beyond the 4 training images"):
        fetch_stl10()
    (folder / "fold_indices.txt").write_text("0 one\n")
    with pytest.raises(ValueError, match="must contain only row numbers"):
        fetch_stl10()
    (folder / "train_y.bin").write_bytes(bytes([1, 2, 3, 0]))
    with pytest.raises(ValueError, match="labels from -1 to 2"):
        fetch_stl10()
    for mmap in (False, True):
        _truncate(folder / "train_X.bin", 27648 + 1)
        with pytest.raises(ValueError, match=r"train_X\.bin has 27649 bytes"):
            fetch_stl10(mmap=mmap)
