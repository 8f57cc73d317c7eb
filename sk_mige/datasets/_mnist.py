"""Readers of MNIST and Fashion-MNIST, in the idx format."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ._files import REMEDY, RemoteFile, get_data_home, obtain
from ._images import as_bunch, check_labels, check_subset

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def _remote_files(hosts: Sequence[str], md5: dict[str, str]) -> dict[str, RemoteFile]:
    return {n: RemoteFile(n, tuple(f"{host}/{n}" for host in hosts), m) for n, m in md5.items()}


MNIST = _remote_files(
    [
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
    ],
    {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)
FASHION_MNIST = _remote_files(
    [
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ],
    {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
)

MNIST_DESCR = """\
MNIST: handwritten digits, 28 x 28 grey pixels, 60,000 for training and 10,000 for
testing. Pixels of ink have values up to 255, and pixels of paper have the value 0.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86(11), 1998."""

FASHION_DESCR = """\
Fashion-MNIST: photographs of clothing in the format and size of MNIST, 28 x 28 grey pixels,
60,000 for training and 10,000 for testing.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", arXiv:1708.07747, 2017."""

CLOTHES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
]  # fmt: skip


def fetch_mnist(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: Literal["train", "test"] = "train",
    as_float: bool = False,
    return_X_y: bool = False,
    download_if_missing: bool = True,
) -> Any:
    """Load MNIST (handwritten digits, 28 × 28 grey pixels) from the official files.

    The files ``train-images-idx3-ubyte.gz``, ``train-labels-idx1-ubyte.gz``,
    ``t10k-images-idx3-ubyte.gz`` and ``t10k-labels-idx1-ubyte.gz`` are read from the folder
    ``mnist`` of the data home. Missing files are downloaded (12 MB in all, checked by md5 sum).

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that contains the folder ``mnist``. See :func:`get_data_home` for the default.
    subset : {"train", "test"}, default="train"
        Part of the data: 60,000 training images or 10,000 test images.
    as_float : bool, default=False
        Whether to return pixels as float32 in [0, 1]. By default, pixels are uint8 in 0…255 and
        take a quarter of the memory.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a bunch.
    download_if_missing : bool, default=True
        If True, missing files are downloaded. Downloads need the package pooch, which
        ``sk-mige[data]`` installs.

    Returns
    -------
    Bunch or tuple of two ndarrays
        The fields of the bunch are:

        - ``data``, an ndarray of shape (n, 784) with one image in each row, in row-major order.
        - ``target``, an int64 ndarray of shape (n,) with the digit of each image.
        - ``target_names``, the list of class names, and ``DESCR``, a description of the data.
        - ``image_shape``, the tuple (1, 28, 28) of channels, height and width. The expression
          ``data.reshape(-1, *image_shape)`` gives images.

    Raises
    ------
    FileNotFoundError
        If a file is missing and not downloaded.
    ImportError
        If a file must be downloaded and pooch is not installed.
    ValueError
        If a file is damaged or ``subset`` is unknown.

    See Also
    --------
    fetch_fashion_mnist : Load images of clothing.
    sklearn.datasets.load_digits : Load smaller digits without a download.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to
       document recognition", Proceedings of the IEEE 86(11), 1998.

    Examples
    --------
    Load two blank images in the official format:

    >>> import gzip, struct, tempfile
    >>> from pathlib import Path
    >>> from sk_mige.datasets import fetch_mnist
    >>> with tempfile.TemporaryDirectory() as home:
    ...     folder = Path(home, "mnist")
    ...     folder.mkdir()
    ...     images = struct.pack(">4B3i", 0, 0, 8, 3, 2, 28, 28) + bytes(2 * 28 * 28)
    ...     labels = struct.pack(">4Bi", 0, 0, 8, 1, 2) + bytes([7, 2])
    ...     _ = (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    ...     _ = (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    ...     digits = fetch_mnist(data_home=home, subset="test", as_float=True)
    >>> digits.data.shape, digits.data.dtype, digits.target, digits.image_shape
    ((2, 784), dtype('float32'), array([7, 2]), (1, 28, 28))
    """
    images, target = _load_idx("mnist", MNIST, subset, data_home, download_if_missing)
    digits = [str(digit) for digit in range(10)]
    return as_bunch(images, target, as_float, return_X_y, target_names=digits, DESCR=MNIST_DESCR)


def fetch_fashion_mnist(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: Literal["train", "test"] = "train",
    as_float: bool = False,
    return_X_y: bool = False,
    download_if_missing: bool = True,
) -> Any:
    """Load Fashion-MNIST (images of clothing, 28 × 28 grey pixels) from the official files.

    The files have the same names and the same format as the files of MNIST. The files are read from
    the folder ``fashion-mnist`` of the data home. Missing files are downloaded (31 MB in all,
    checked by md5 sum).

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that contains the folder ``fashion-mnist``. See :func:`get_data_home` for the
        default.
    subset : {"train", "test"}, default="train"
        Part of the data: 60,000 training images or 10,000 test images.
    as_float : bool, default=False
        Whether to return pixels as float32 in [0, 1]. By default, pixels are uint8 in 0…255 and
        take a quarter of the memory.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a bunch.
    download_if_missing : bool, default=True
        If True, missing files are downloaded. Downloads need the package pooch, which
        ``sk-mige[data]`` installs.

    Returns
    -------
    Bunch or tuple of two ndarrays
        The bunch has the fields of :func:`fetch_mnist`. The classes are ten kinds of clothing.

    Raises
    ------
    FileNotFoundError
        If a file is missing and not downloaded.
    ImportError
        If a file must be downloaded and pooch is not installed.
    ValueError
        If a file is damaged or ``subset`` is unknown.

    See Also
    --------
    fetch_mnist : Load handwritten digits, with an example of the file format.

    References
    ----------
    .. [1] H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking
       machine learning algorithms", arXiv:1708.07747, 2017.

    Examples
    --------
    If files are missing and not downloaded, the error message gives the download addresses:

    >>> from sk_mige.datasets import fetch_fashion_mnist
    >>> fetch_fashion_mnist(data_home="/nowhere", download_if_missing=False)
    Traceback (most recent call last):
        ...
    FileNotFoundError: train-images-idx3-ubyte.gz is not in /nowhere/fashion-mnist. Download ...
    """
    images, target = _load_idx(
        "fashion-mnist", FASHION_MNIST, subset, data_home, download_if_missing
    )
    names = list(CLOTHES)
    return as_bunch(images, target, as_float, return_X_y, target_names=names, DESCR=FASHION_DESCR)


def _load_idx(
    name: str,
    files: dict[str, RemoteFile],
    subset: str,
    data_home: str | os.PathLike[str] | None,
    download_if_missing: bool,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images of shape (n, 1, height, width) and their classes."""
    check_subset(subset, list(FILES))
    folder = get_data_home(data_home) / name
    pixels, classes = (obtain(folder, files[n], download_if_missing) for n in FILES[subset])
    images = _read_idx(pixels, 3)[:, None]
    return images, check_labels(classes, _read_idx(classes, 1), len(images), 10)


def _read_idx(path: Path, n_dims: int) -> NDArray[np.uint8]:
    """Read bytes in idx format: two zeros, type 8, number of axes, axis lengths, values."""
    try:
        with gzip.open(path) as stream:
            raw = stream.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged or incomplete ({error}). {REMEDY}") from error
    header = 4 + 4 * n_dims
    if len(raw) < header or raw[:4] != bytes([0, 0, 8, n_dims]):
        raise ValueError(f"{path} is not an idx file of bytes with {n_dims} axes. {REMEDY}")
    shape = struct.unpack(f">{n_dims}i", raw[4:header])
    values = np.frombuffer(raw, dtype=np.uint8, offset=header)
    if values.size != np.prod(shape, dtype=np.int64):
        raise ValueError(
            f"{path} must have the shape {shape} by its header; got {values.size} values. {REMEDY}"
        )
    # Copy, because a view of bytes is read-only.
    return values.reshape(shape).copy()
