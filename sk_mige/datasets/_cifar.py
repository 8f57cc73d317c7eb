"""Readers of CIFAR-10 and CIFAR-100, in the official binary version."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np

from ._files import Archive, get_data_home, obtain_members
from ._images import as_bunch, check_labels, check_subset, read_names, read_rows

IMAGE_SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32

CIFAR10_FILES = {
    "train": [f"data_batch_{i}.bin" for i in range(1, 6)],
    "test": ["test_batch.bin"],
}
CIFAR10 = Archive(
    "cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    "c32a1d4ab5d03f1284b67883e8d87530",
    "cifar-10-batches-bin",
    (*CIFAR10_FILES["train"], *CIFAR10_FILES["test"], "batches.meta.txt"),
)
CIFAR100 = Archive(
    "cifar-100-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
    "03b5dce01913d631647c71ecec9e9cb8",
    "cifar-100-binary",
    ("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"),
)

CIFAR10_DESCR = """\
CIFAR-10: photographs of ten kinds of objects, 32 x 32 pixels in colour, 50,000 for training
and 10,000 for testing.

A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009."""

CIFAR100_DESCR = """\
CIFAR-100: photographs of a hundred kinds of objects in twenty groups, 32 x 32 pixels in colour,
50,000 for training and 10,000 for testing.

A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009."""


def fetch_cifar10(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: Literal["train", "test"] = "train",
    as_float: bool = False,
    return_X_y: bool = False,
    download_if_missing: bool = True,
) -> Any:
    r"""Load CIFAR-10 (colour photographs of 32 × 32 pixels) from the official binary files.

    The files ``data_batch_1.bin`` to ``data_batch_5.bin``, ``test_batch.bin`` and
    ``batches.meta.txt`` are read from the folder ``cifar-10-batches-bin`` of the data home. If a
    file is missing, ``cifar-10-binary.tar.gz`` is unpacked from the data home. A missing archive is
    downloaded (170 MB, checked by md5 sum). No pickle is loaded.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that contains the folder ``cifar-10-batches-bin``. See :func:`get_data_home` for the
        default.
    subset : {"train", "test"}, default="train"
        Part of the data: 50,000 training images or 10,000 test images.
    as_float : bool, default=False
        Whether to return pixels as float32 in [0, 1]. By default, pixels are uint8 in 0…255 and
        take a quarter of the memory.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a bunch.
    download_if_missing : bool, default=True
        If True, a missing archive is downloaded. Downloads need the package pooch, which
        ``sk-mige[data]`` installs.

    Returns
    -------
    Bunch or tuple of two ndarrays
        The fields of the bunch are:

        - ``data``, an ndarray of shape (n, 3072) with one image in each row. A row
          contains a red, a green and a blue plane, each in row-major order.
        - ``target``, an int64 ndarray of shape (n,) with the class of each image.
        - ``target_names``, the list of class names, and ``DESCR``, a description of the data.
        - ``image_shape``, the tuple (3, 32, 32) of channels, height and width. The expression
          ``data.reshape(-1, *image_shape)`` gives images.

    Raises
    ------
    FileNotFoundError
        If a file is missing and not downloaded.
    ImportError
        If the archive must be downloaded and pooch is not installed.
    ValueError
        If a file is damaged or ``subset`` is unknown.

    See Also
    --------
    fetch_cifar100 : Load 100 classes.

    References
    ----------
    .. [1] A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.

    Examples
    --------
    Load two black images in the official format:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sk_mige.datasets import fetch_cifar10
    >>> with tempfile.TemporaryDirectory() as home:
    ...     folder = Path(home, "cifar-10-batches-bin")
    ...     folder.mkdir()
    ...     np.zeros((2, 1 + 3072), np.uint8).tofile(folder / "test_batch.bin")
    ...     _ = (folder / "batches.meta.txt").write_text("airplane\nautomobile\n")
    ...     images = fetch_cifar10(data_home=home, subset="test")
    >>> images.data.shape, images.data.dtype, images.target, images.image_shape
    ((2, 3072), dtype('uint8'), array([0, 0]), (3, 32, 32))
    """
    check_subset(subset, list(CIFAR10_FILES))
    names = [*CIFAR10_FILES[subset], "batches.meta.txt"]
    *batches, meta = obtain_members(get_data_home(data_home), CIFAR10, names, download_if_missing)
    target_names = read_names(meta)
    images, target = [], []
    for path in batches:
        rows = read_rows(path, 1 + PIXELS)
        images.append(rows[:, 1:].reshape(-1, *IMAGE_SHAPE))
        target.append(check_labels(path, rows[:, 0], len(rows), len(target_names)))
    return as_bunch(
        np.concatenate(images),
        np.concatenate(target),
        as_float,
        return_X_y,
        target_names=target_names,
        DESCR=CIFAR10_DESCR,
    )


def fetch_cifar100(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: Literal["train", "test"] = "train",
    labels: Literal["fine", "coarse"] = "fine",
    as_float: bool = False,
    return_X_y: bool = False,
    download_if_missing: bool = True,
) -> Any:
    r"""Load CIFAR-100 (colour photographs of 32 × 32 pixels) from the official binary files.

    The files ``train.bin``, ``test.bin``, ``fine_label_names.txt`` and ``coarse_label_names.txt``
    are read from the folder ``cifar-100-binary`` of the data home. If a file is missing,
    ``cifar-100-binary.tar.gz`` is unpacked from the data home. A missing archive is downloaded (169
    MB, checked by md5 sum). No pickle is loaded.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that contains the folder ``cifar-100-binary``. See :func:`get_data_home` for the
        default.
    subset : {"train", "test"}, default="train"
        Part of the data: 50,000 training images or 10,000 test images.
    labels : {"fine", "coarse"}, default="fine"
        Labels in ``target``: "fine" gives 100 classes, and "coarse" gives 20 groups of classes. The
        bunch contains fine and coarse labels.
    as_float : bool, default=False
        Whether to return pixels as float32 in [0, 1]. By default, pixels are uint8 in 0…255 and
        take a quarter of the memory.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a bunch.
    download_if_missing : bool, default=True
        If True, a missing archive is downloaded. Downloads need the package pooch, which
        ``sk-mige[data]`` installs.

    Returns
    -------
    Bunch or tuple of two ndarrays
        The bunch has the fields of :func:`fetch_cifar10`. The bunch also has ``fine_target``,
        ``coarse_target``, ``fine_target_names`` and ``coarse_target_names``.

    Raises
    ------
    FileNotFoundError
        If a file is missing and not downloaded.
    ImportError
        If the archive must be downloaded and pooch is not installed.
    ValueError
        If a file is damaged or ``subset`` or ``labels`` is unknown.

    See Also
    --------
    fetch_cifar10 : Load ten classes.

    References
    ----------
    .. [1] A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.

    Examples
    --------
    Load one black image in the official format:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sk_mige.datasets import fetch_cifar100
    >>> with tempfile.TemporaryDirectory() as home:
    ...     folder = Path(home, "cifar-100-binary")
    ...     folder.mkdir()
    ...     np.zeros((1, 2 + 3072), np.uint8).tofile(folder / "test.bin")
    ...     _ = (folder / "fine_label_names.txt").write_text("apple\nbear\n")
    ...     _ = (folder / "coarse_label_names.txt").write_text("fruit\nanimals\n")
    ...     images = fetch_cifar100(data_home=home, subset="test", labels="coarse")
    >>> images.target_names[images.target[0]], images.fine_target_names[images.fine_target[0]]
    ('fruit', 'apple')
    """
    check_subset(subset, ["train", "test"])
    if labels not in ("fine", "coarse"):
        raise ValueError(f"labels must be 'fine' or 'coarse'; got {labels!r}.")
    names = [f"{subset}.bin", "fine_label_names.txt", "coarse_label_names.txt"]
    path, fine_names, coarse_names = obtain_members(
        get_data_home(data_home), CIFAR100, names, download_if_missing
    )
    rows = read_rows(path, 2 + PIXELS)
    both: dict[str, Any] = {}
    for column, (kind, file) in enumerate([("coarse", coarse_names), ("fine", fine_names)]):
        both[f"{kind}_target_names"] = read_names(file)
        n_classes = len(both[f"{kind}_target_names"])
        both[f"{kind}_target"] = check_labels(path, rows[:, column], len(rows), n_classes)
    return as_bunch(
        rows[:, 2:].reshape(-1, *IMAGE_SHAPE),
        both[f"{labels}_target"],
        as_float,
        return_X_y,
        target_names=both[f"{labels}_target_names"],
        DESCR=CIFAR100_DESCR,
        **both,
    )
