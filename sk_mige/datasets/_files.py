"""Locations of data files, and downloads that are checked against known hashes."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sklearn import datasets as sklearn_datasets

VARIABLE = "SK_MIGE_DATA"
REMEDY = "Remove the file, so that it is downloaded again."  # the end of errors about damaged files


@dataclass(frozen=True)
class RemoteFile:
    """Name, addresses and md5 sum of a file that can be downloaded."""

    name: str
    addresses: tuple[str, ...]
    md5: str


@dataclass(frozen=True)
class Archive(RemoteFile):
    """Archive (tar.gz) of one folder, with the names of the folder and of its files."""

    folder: str
    members: tuple[str, ...]


def get_data_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder in which the image readers look for data.

    The folder is ``data_home`` if given, otherwise the value of the environment variable
    ``SK_MIGE_DATA``. If ``SK_MIGE_DATA`` is not set, the folder is ``sk_mige`` in scikit-learn's
    data home. Each data set has a subfolder: ``mnist``, ``fashion-mnist``,
    ``cifar-10-batches-bin``, ``cifar-100-binary`` or ``stl10_binary``.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder, which may begin with ``~`` and need not exist.

    Returns
    -------
    pathlib.Path
        Folder of the data sets.

    See Also
    --------
    sklearn.datasets.get_data_home : Return the data home of scikit-learn.

    Examples
    --------
    >>> from sk_mige.datasets import get_data_home
    >>> get_data_home("/srv/data").as_posix()
    '/srv/data'
    """
    if data_home is None:
        data_home = os.environ.get(VARIABLE) or None
    if data_home is None:
        return Path(sklearn_datasets.get_data_home()) / "sk_mige"
    return Path(data_home).expanduser()


def obtain(folder: Path, file: RemoteFile, download_if_missing: bool) -> Path:
    """Return the path of a file in ``folder``, and download the file if necessary."""
    path = folder / file.name
    if not path.exists():
        with _downloaded(folder, file, f"put it in {folder}", download_if_missing) as made:
            made.replace(path)
    return path


def obtain_members(
    home: Path, archive: Archive, names: Sequence[str], download_if_missing: bool
) -> list[Path]:
    """Return the paths of an archive's members, and download the archive if necessary.

    An archive in ``home`` is unpacked and kept. A downloaded archive is unpacked from a temporary
    folder and removed, so several processes can download at the same time.
    """
    folder = home / archive.folder
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        given = home / archive.name
        if given.exists():
            _verify(given, archive)
            _unpack(given, archive, folder)
        else:
            by_hand = f"put it in {home}, where it is unpacked to {folder / missing[0]}"
            with _downloaded(home, archive, by_hand, download_if_missing) as made:
                _unpack(made, archive, folder)
    return [folder / name for name in names]


@contextmanager
def _downloaded(folder: Path, file: RemoteFile, by_hand: str, allowed: bool) -> Iterator[Path]:
    """Download a file to a temporary folder in ``folder``, and yield the path of the file."""
    advice = (
        f"Download {' or '.join(file.addresses)} and {by_hand}, or set data_home or the "
        f"environment variable {VARIABLE} to the folder that contains the data."
    )
    if not allowed:
        raise FileNotFoundError(f"{file.name} is not in {folder}. {advice}")
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"{file.name} is not in {folder}, and downloading it needs pooch: install "
            f"sk-mige[data]. {advice}"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as own:
        for address in file.addresses:
            try:
                pooch.retrieve(address, known_hash=f"md5:{file.md5}", fname=file.name, path=own)
                break
            except (OSError, ValueError) as error:  # a failed connection, or a wrong hash
                reasons.append(f"{address}: {error}")
        else:
            raise FileNotFoundError(
                f"{file.name} is not in {folder} and could not be downloaded. {advice} "
                f"Errors: {'; '.join(reasons)}"
            )
        yield Path(own, file.name)


def _verify(path: Path, archive: Archive) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != archive.md5:
        raise ValueError(
            f"{path} has the md5 sum {found}, but the official archive has {archive.md5}: the "
            "file is damaged, incomplete or not the official file. Remove the file, so that it "
            "is downloaded again."
        )


def _unpack(path: Path, archive: Archive, folder: Path) -> None:
    """Unpack the known members of an archive into a folder.

    The archive is read as a stream in one pass. Access to members by name would decompress the
    archive twice.
    """
    wanted = {f"{archive.folder}/{name}": folder / name for name in archive.members}
    try:
        with tarfile.open(path, "r|gz") as tar:
            for member in tar:
                target = wanted.get(member.name.removeprefix("./"))
                source = tar.extractfile(member) if target and member.isfile() else None
                if target is None or source is None:
                    continue
                del wanted[f"{archive.folder}/{target.name}"]
                if not target.exists():
                    with replacing(target) as part, part.open("wb") as stream:
                        shutil.copyfileobj(source, stream)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be unpacked ({error}): remove the file and try again."
        ) from error
    if wanted:
        raise ValueError(f"{path} lacks {', '.join(sorted(wanted))}. {REMEDY}")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path, and rename the file at this path to ``target`` at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)  # mkstemp allows only the owner to read
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
