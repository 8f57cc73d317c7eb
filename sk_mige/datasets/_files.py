"""Where data files lie, and how a missing one is fetched: by known hash, or not at all."""

from __future__ import annotations

__all__ = [
    "VARIABLE",
    "Archive",
    "RemoteFile",
    "get_data_home",
    "obtain",
    "obtain_members",
    "replacing",
]

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


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded: its name, where it can be had, and its md5 sum."""

    name: str
    addresses: tuple[str, ...]
    md5: str


@dataclass(frozen=True)
class Archive(RemoteFile):
    """A tar.gz whose members lie in one folder: that folder, and the members' names."""

    folder: str
    members: tuple[str, ...]


def get_data_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder in which the image readers look for data.

    That is ``data_home`` where one is given, else the environment variable ``SK_MIGE_DATA``,
    else the folder ``sk_mige`` under scikit-learn's own data home. Each data set has a folder in
    it, named as its official archive unpacks: ``mnist``, ``fashion-mnist``,
    ``cifar-10-batches-bin``, ``cifar-100-binary``, ``stl10_binary``.

    Parameters
    ----------
    data_home : str or path-like, default=None
        A folder, which may begin with ``~``; it need not exist yet.

    Returns
    -------
    pathlib.Path
        The folder.

    See Also
    --------
    sklearn.datasets.get_data_home : Scikit-learn's own.

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
    """Return the path of a file in ``folder``, downloaded if need be."""
    path = folder / file.name
    if not path.exists():
        _download(folder, file, f"put it in {folder}", download_if_missing)
    return path


def obtain_members(
    home: Path, archive: Archive, names: Sequence[str], download_if_missing: bool
) -> list[Path]:
    """Return the paths of an archive's members, downloaded and unpacked if need be.

    An archive that already lies in ``home`` is unpacked and kept. A downloaded one is unpacked
    from a folder of this process's own and removed with it: others may be doing the same.
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
            with _own_folder(home, download_if_missing) as own:
                _download(home, archive, by_hand, download_if_missing, own)
                _unpack(own / archive.name, archive, folder)
    return [folder / name for name in names]


@contextmanager
def _own_folder(home: Path, allowed: bool) -> Iterator[Path]:
    """A temporary folder beside the data; where nothing is downloaded, none is made."""
    if not allowed:
        yield home
        return
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".download-") as own:
        yield Path(own)


def _download(
    folder: Path, file: RemoteFile, by_hand: str, allowed: bool, into: Path | None = None
) -> None:
    advice = (
        f"Download {' or '.join(file.addresses)} and {by_hand}, or name the folder that has the "
        f"data by data_home or the environment variable {VARIABLE}."
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
    reasons, path = [], into or folder
    for address in file.addresses:
        try:
            pooch.retrieve(address, known_hash=f"md5:{file.md5}", fname=file.name, path=path)
            return
        except (OSError, ValueError) as error:  # no connection, no such page, another hash
            reasons.append(f"{address}: {error}")
    raise FileNotFoundError(
        f"{file.name} is not in {folder} and could not be downloaded. {advice} "
        f"What happened: {'; '.join(reasons)}"
    )


def _verify(path: Path, archive: Archive) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != archive.md5:
        raise ValueError(
            f"{path} has the md5 sum {found}, but the official archive has {archive.md5}: it is "
            "damaged, incomplete or another file. Remove it to have it downloaded again."
        )


def _unpack(path: Path, archive: Archive, folder: Path) -> None:
    """Write the known members, and nothing else, under names of our own choosing.

    One pass over a stream: looking members up by name would decompress gigabytes twice.
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
            f"{path} cannot be unpacked ({error}): remove it and try again."
        ) from error
    if wanted:
        raise ValueError(f"{path} lacks {', '.join(sorted(wanted))}.")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a path to write to that becomes ``target`` once complete: no half of one is read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)  # a temporary file begins as its owner's alone
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
