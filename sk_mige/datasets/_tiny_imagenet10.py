"""Reader of a local substitute for STL-10, pooled from Tiny ImageNet."""

from __future__ import annotations

import os
import zipfile
from typing import Any, Literal

import numpy as np

from ._files import VARIABLE, get_data_home
from ._images import as_bunch, check_labels, check_subset

DESCR = """\
Ten classes pooled from Tiny ImageNet: photographs of 64 x 64 pixels in colour, 5,000 for training,
5,000 for testing and 7,760 without labels. The data set resembles STL-10 in size and kind, but is
NOT STL-10. Do not report results on this data set as results on STL-10. The terms of ImageNet allow
research use."""


def load_tiny_imagenet10(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: Literal["train", "test", "unlabeled"] = "train",
    as_float: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load ten classes pooled from Tiny ImageNet, a local substitute for STL-10.

    Use the data set if STL-10 is not available. The data set is not published and cannot be
    downloaded. The files ``train.npz``, ``test.npz`` and ``unlabeled.npz`` are read from the folder
    ``tinyimagenet10`` of the data home. Each file has the arrays ``images`` (uint8, shape (n,
    height, width, 3)) and ``class_names``. ``train.npz`` and ``test.npz`` also have an array
    ``labels``. No pickle is loaded.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that contains the folder ``tinyimagenet10``. See :func:`get_data_home` for the
        default.
    subset : {"train", "test", "unlabeled"}, default="train"
        Part of the data, one of the three files.
    as_float : bool, default=False
        Whether to return pixels as float32 in [0, 1]. By default, pixels are uint8 in 0…255 and
        take a quarter of the memory.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a bunch.

    Returns
    -------
    Bunch or tuple of two ndarrays
        The fields of the bunch are:

        - ``data``, an ndarray of shape (n, 12288) with one image in each row. A row
          contains a red, a green and a blue plane, each in row-major order.
        - ``target``, an int64 ndarray of shape (n,) with the class of each image, or −1 for
          unlabelled images.
        - ``target_names``, the list of class names, and ``DESCR``, a description of the data.
        - ``image_shape``, the tuple (3, 64, 64) of channels, height and width.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        If the file is damaged or has unexpected arrays, or ``subset`` is unknown.

    See Also
    --------
    fetch_stl10 : Load STL-10.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sk_mige.datasets import load_tiny_imagenet10
    >>> with tempfile.TemporaryDirectory() as home:
    ...     Path(home, "tinyimagenet10").mkdir()
    ...     np.savez(
    ...         Path(home, "tinyimagenet10", "train.npz"),
    ...         images=np.zeros((2, 64, 64, 3), np.uint8),
    ...         labels=np.array([1, 0]),
    ...         class_names=np.array(["bird", "boat"]),
    ...     )
    ...     images = load_tiny_imagenet10(data_home=home)
    >>> images.data.shape, images.image_shape, images.target_names[images.target[0]]
    ((2, 12288), (3, 64, 64), 'boat')
    """
    check_subset(subset, ["train", "test", "unlabeled"])
    path = get_data_home(data_home) / "tinyimagenet10" / f"{subset}.npz"
    if not path.exists():
        raise FileNotFoundError(
            f"{path.name} is not in {path.parent}. This data set cannot be downloaded. Set "
            f"data_home or the environment variable {VARIABLE} to the folder that contains it."
        )
    try:
        # open() closes the file in any case. np.load leaves a damaged file open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            images = arrays["images"]
            target_names = [str(name) for name in arrays["class_names"]]
            labels = arrays["labels"] if subset != "unlabeled" else None
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is damaged, or is not an npz file with plain arrays 'images', 'labels' and "
            f"'class_names': {error}. Replace the file."
        ) from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            f"{path} must have uint8 images of shape (n, height, width, 3); got {images.dtype} "
            f"of shape {images.shape}."
        )
    if labels is None:
        target = np.full(len(images), -1, dtype=np.int64)
    else:
        target = check_labels(path, labels, len(images), len(target_names))
    planes = images.transpose(0, 3, 1, 2)
    return as_bunch(planes, target, as_float, return_X_y, target_names=target_names, DESCR=DESCR)
