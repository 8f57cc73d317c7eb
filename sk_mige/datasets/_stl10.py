"""Reader of STL-10, in the official binary version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ._files import REMEDY, Archive, get_data_home, obtain_members, replacing
from ._images import as_bunch, check_labels, check_size, check_subset, read_names

IMAGE_SHAPE = (3, 96, 96)
PIXELS = 3 * 96 * 96

FILES = {
    "train": ["train_X.bin", "train_y.bin", "fold_indices.txt"],
    "test": ["test_X.bin", "test_y.bin"],
    "unlabeled": ["unlabeled_X.bin"],
}
STL10 = Archive(
    "stl10_binary.tar.gz",
    ("https://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
    "91f7769df0f17e558f3565bffb0c7dfb",
    "stl10_binary",
    (*FILES["train"], *FILES["test"], *FILES["unlabeled"], "class_names.txt"),
)

STL10_DESCR = """\
STL-10: photographs of ten kinds of objects, 96 x 96 pixels in colour, 5,000 for training and 8,000
for testing. Each of ten predefined folds has 1,000 training photographs. A further 100,000
photographs have no labels, and also show objects of other kinds.

A. Coates, H. Lee, A. Y. Ng, "An analysis of single-layer networks in unsupervised feature
learning", AISTATS 2011."""


def fetch_stl10(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: Literal["train", "test", "unlabeled"] = "train",
    as_float: bool = False,
    mmap: bool = False,
    return_X_y: bool = False,
    download_if_missing: bool = True,
) -> Any:
    r"""Load STL-10 (colour photographs of 96 × 96 pixels) from the official binary files.

    The files ``train_X.bin``, ``train_y.bin``, ``test_X.bin``, ``test_y.bin``, ``unlabeled_X.bin``,
    ``class_names.txt`` and ``fold_indices.txt`` are read from the folder ``stl10_binary`` of the
    data home. If a file is missing, ``stl10_binary.tar.gz`` is unpacked from the data home. A
    missing archive is downloaded (2.6 GB, checked by md5 sum).

    The returned images are in row-major order, and class indices start at 0, unlike in the official
    files.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that contains the folder ``stl10_binary``. See :func:`get_data_home` for the default.
    subset : {"train", "test", "unlabeled"}, default="train"
        Part of the data: 5,000 training images, 8,000 test images or 100,000 images without
        labels.
    as_float : bool, default=False
        Whether to return pixels as float32 in [0, 1]. By default, pixels are uint8 in 0…255 and
        take a quarter of the memory: 2.8 GB for the unlabelled images.
    mmap : bool, default=False
        Whether ``data`` is a read-only memory map. The first call with ``mmap=True`` writes the
        images in row-major order to a file in the same folder. The new file is as large as the
        official file.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a bunch.
    download_if_missing : bool, default=True
        If True, a missing archive is downloaded. Downloads need the package pooch, which
        ``sk-mige[data]`` installs.

    Returns
    -------
    Bunch or tuple of two ndarrays
        The fields of the bunch are:

        - ``data``, an ndarray of shape (n, 27648) with one image in each row. A row
          contains a red, a green and a blue plane, each in row-major order.
        - ``target``, an int64 ndarray of shape (n,) with the class of each image, or −1 for
          unlabelled images.
        - ``folds``, a list of ten arrays with the training rows of the predefined folds. The field
          exists for ``subset="train"`` only.
        - ``target_names``, the list of class names, and ``DESCR``, a description of the data.
        - ``image_shape``, the tuple (3, 96, 96) of channels, height and width. The expression
          ``data.reshape(-1, *image_shape)`` gives images.

    Raises
    ------
    FileNotFoundError
        If a file is missing and not downloaded.
    ImportError
        If the archive must be downloaded and pooch is not installed.
    ValueError
        If a file is damaged, ``subset`` is unknown, or both ``as_float`` and ``mmap`` are true.

    See Also
    --------
    fetch_cifar10 : Load smaller photographs.

    References
    ----------
    .. [1] A. Coates, H. Lee, A. Y. Ng, "An analysis of single-layer networks in unsupervised
       feature learning", AISTATS 2011.

    Examples
    --------
    Load two black images in the official format:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sk_mige.datasets import fetch_stl10
    >>> with tempfile.TemporaryDirectory() as home:
    ...     folder = Path(home, "stl10_binary")
    ...     folder.mkdir()
    ...     np.zeros((2, 27648), np.uint8).tofile(folder / "unlabeled_X.bin")
    ...     _ = (folder / "class_names.txt").write_text("airplane\nbird\n")
    ...     images = fetch_stl10(data_home=home, subset="unlabeled")
    >>> images.data.shape, images.target, images.image_shape
    ((2, 27648), array([-1, -1]), (3, 96, 96))
    """
    check_subset(subset, list(FILES))
    if mmap and as_float:
        raise ValueError(
            "mmap=True returns the pixels of a file without conversion, got as_float=True: use "
            "as_float=False, and divide the pixels of each batch by 255."
        )
    names = [*FILES[subset], "class_names.txt"]
    pixels, *others, classes = obtain_members(
        get_data_home(data_home), STL10, names, download_if_missing
    )
    images = _row_major(pixels) if mmap else _official(pixels)
    description: dict[str, Any] = {"target_names": read_names(classes)}
    if subset == "unlabeled":
        target = np.full(len(images), -1, dtype=np.int64)
    else:
        # Convert to int64 before the subtraction: in uint8, an invalid label 0 would become 255.
        labels = np.fromfile(others[0], dtype=np.uint8).astype(np.int64) - 1
        target = check_labels(others[0], labels, len(images), len(description["target_names"]))
    if subset == "train":
        description["folds"] = _read_folds(others[1], len(images))
    return as_bunch(images, target, as_float, return_X_y, DESCR=STL10_DESCR, **description)


def _official(path: Path) -> NDArray[np.uint8]:
    """Return a memory map of the official file, transposed to shape (n, 3, 96, 96)."""
    check_size(path, path.stat().st_size, PIXELS)
    columns = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    return columns.reshape(-1, *IMAGE_SHAPE).transpose(0, 1, 3, 2)


def _row_major(path: Path) -> NDArray[np.uint8]:
    """Return a memory map of a row-major copy in the same folder, and write the copy if missing."""
    copy = path.with_suffix(".rows.npy")
    if not copy.exists() or copy.stat().st_mtime < path.stat().st_mtime:
        images = _official(path)
        with replacing(copy) as part:
            rows = open_memmap(part, "w+", np.uint8, (len(images), PIXELS))
            rows.reshape(images.shape)[:] = images
            rows.flush()
            del rows  # closes the map before the file is renamed
    return open_memmap(copy, "r").reshape(-1, *IMAGE_SHAPE)


def _read_folds(path: Path, n_rows: int) -> list[NDArray[np.int64]]:
    try:
        folds = [
            np.array(line.split(), dtype=np.int64) for line in path.read_text("utf-8").splitlines()
        ]
    except ValueError as error:
        raise ValueError(f"{path} must contain only row numbers: {error}. {REMEDY}") from error
    sizes = [len(fold) for fold in folds]
    if len(folds) != 10 or 0 in sizes:
        raise ValueError(
            f"{path} must have ten lines of row numbers, one for each fold; got lines of {sizes}: "
            "the file is incomplete or not the official file. "
            f"{REMEDY}"
        )
    for fold in folds:
        if not 0 <= fold.min() <= fold.max() < n_rows:
            raise ValueError(
                f"{path} has row numbers beyond the {n_rows} training images. {REMEDY}"
            )
    return folds
