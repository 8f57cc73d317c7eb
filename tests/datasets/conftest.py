"""Small files in the official formats, and a local web server for the files."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def data_home(tmp_path, monkeypatch):
    """Return an empty data folder, the only one that the readers use."""
    home = tmp_path / "data"
    monkeypatch.setenv("SK_MIGE_DATA", str(home))
    return home


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write bytes in the idx format, compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">4B{array.ndim}i", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def random_images(n, height, width, channels, seed=0):
    """Return images of shape (n, height, width, channels)."""
    return np.random.default_rng(seed).integers(
        256, size=(n, height, width, channels), dtype=np.uint8
    )


@pytest.fixture
def write_mnist(data_home):
    """Return a function that writes n images and labels of either data set, and returns both."""

    def write(folder="mnist", n=12, prefix="train"):
        images, labels = random_images(n, 28, 28, 1), np.arange(n) % 10
        write_idx(data_home / folder / f"{prefix}-images-idx3-ubyte.gz", images[..., 0])
        write_idx(data_home / folder / f"{prefix}-labels-idx1-ubyte.gz", labels)
        return images, labels

    return write


def pixel_by_pixel(image, order):
    """Return one image as bytes, plane by plane, in row or column order."""
    height, width, channels = image.shape
    if order == "rows":
        places = [(i, j) for i in range(height) for j in range(width)]
    else:
        places = [(i, j) for j in range(width) for i in range(height)]
    return bytes(image[i, j, c] for c in range(channels) for i, j in places)


@pytest.fixture
def write_cifar(data_home):
    """Return a function that writes rows of label bytes and pixels, as in the binary version."""

    def write(path, label_rows, seed=0):
        images = random_images(len(label_rows), 32, 32, 3, seed)
        path = data_home / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            b"".join(
                bytes(labels) + pixel_by_pixel(image, "rows")
                for labels, image in zip(label_rows, images, strict=True)
            )
        )
        return images

    return write


@pytest.fixture
def write_cifar10_set(data_home, write_cifar):
    """Return a function that writes all of CIFAR-10's files, two images a batch."""

    def write():
        train = [
            write_cifar(f"cifar-10-batches-bin/data_batch_{i}.bin", [(i - 1,), (2,)], seed=i)
            for i in range(1, 6)
        ]
        test = write_cifar("cifar-10-batches-bin/test_batch.bin", [(9,), (8,), (7,)], seed=6)
        names = data_home / "cifar-10-batches-bin" / "batches.meta.txt"
        names.write_text("\n".join(f"class {k}" for k in range(10)) + "\n\n")
        return np.concatenate(train), test

    return write


@pytest.fixture
def write_cifar100_set(data_home, write_cifar):
    """Return a function that writes CIFAR-100's test set, three images."""

    def write():
        images = write_cifar("cifar-100-binary/test.bin", [(1, 2), (0, 1), (0, 0)])
        folder = data_home / "cifar-100-binary"
        (folder / "coarse_label_names.txt").write_text("fish\nflowers\n")
        (folder / "fine_label_names.txt").write_text("ray\nshark\nrose\n")
        return images

    return write


@pytest.fixture
def write_stl10(data_home):
    """Return a function that writes images column by column, and labels counted from 1."""

    def write(subset="train", n=4):
        folder = data_home / "stl10_binary"
        folder.mkdir(parents=True, exist_ok=True)
        images = random_images(n, 96, 96, 3)
        (folder / f"{subset}_X.bin").write_bytes(
            b"".join(pixel_by_pixel(image, "columns") for image in images)
        )
        (folder / "class_names.txt").write_text("airplane\nbird\ncar\n")
        if subset != "unlabeled":
            (folder / f"{subset}_y.bin").write_bytes(bytes(k % 3 + 1 for k in range(n)))
        if subset == "train":
            (folder / "fold_indices.txt").write_text("0 2 \n1 3 \n" * 5)
        return images

    return write


def make_archive(path: Path, members: dict[str, bytes]) -> None:
    """Write a tar.gz of the given members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def md5(path: Path) -> str:
    """Return a file's md5 sum."""
    return hashlib.md5(path.read_bytes()).hexdigest()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def website(tmp_path, monkeypatch):
    """Serve a folder on the loopback interface; yield the folder and its address."""
    monkeypatch.setenv("NO_PROXY", "*")
    folder = tmp_path / "website"
    folder.mkdir()
    handler = partial(_QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def publish(website):
    """Return a function that publishes bytes and returns the updated description of the file."""
    folder, address = website

    def put(file, content: bytes, *, dead_mirror=False):
        (folder / file.name).write_bytes(content)
        addresses = (f"{address}/{file.name}",)
        if dead_mirror:
            addresses = (f"{address}/not-here/{file.name}", *addresses)
        return replace(file, addresses=addresses, md5=md5(folder / file.name))

    return put
