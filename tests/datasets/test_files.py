"""Data folders and downloads: only files with known hashes, from known addresses."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sk_mige.datasets import _cifar, _mnist, fetch_cifar10, fetch_cifar100, fetch_mnist
from sk_mige.datasets import get_data_home as sk_mige_data_home
from sk_mige.datasets._files import replacing

from .conftest import make_archive, md5

NAMES = "batches.meta.txt"
ROW = bytes([3]) + bytes(range(256)) * 12


@pytest.fixture
def cifar_members():
    """Members of the official archive, and further members of a malicious archive."""
    folder = "cifar-10-batches-bin"
    members = {f"{folder}/{name}": ROW for name in _cifar.CIFAR10.members}
    members[f"{folder}/{NAMES}"] = b"a\nb\nc\nd\n"
    members["../outside.bin"] = b"outside"
    members["/tmp/absolute-of-sk-mige.bin"] = b"absolute"
    members[f"{folder}/readme.html"] = b"unknown"
    return members


@pytest.fixture
def offline(monkeypatch):
    """Replace the official addresses by an address without a server."""
    monkeypatch.setenv("NO_PROXY", "*")
    nobody = "http://127.0.0.1:9/"
    monkeypatch.setattr(
        _cifar, "CIFAR10", replace(_cifar.CIFAR10, addresses=(nobody + "cifar.tar.gz",))
    )
    for name, file in _mnist.MNIST.items():
        monkeypatch.setitem(_mnist.MNIST, name, replace(file, addresses=(nobody + name,)))
    return nobody


def test_data_home_is_the_argument_the_variable_or_a_folder_of_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "scikit-learn"))
    monkeypatch.setenv("SK_MIGE_DATA", str(tmp_path / "variable"))
    assert sk_mige_data_home(tmp_path / "argument") == tmp_path / "argument"
    assert sk_mige_data_home() == tmp_path / "variable"
    monkeypatch.setenv("SK_MIGE_DATA", "")
    assert sk_mige_data_home() == tmp_path / "scikit-learn" / "sk_mige"
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert sk_mige_data_home("~/data") == tmp_path / "me" / "data"


def test_known_files_have_md5_sums():
    files = [*_mnist.MNIST.values(), *_mnist.FASHION_MNIST.values()]
    files += [_cifar.CIFAR10, _cifar.CIFAR100]
    assert all(len(file.md5) == 32 and int(file.md5, 16) for file in files)
    assert len({file.md5 for file in files}) == len(files) == 10


def test_missing_file_names_itself_its_address_and_its_place(data_home):
    with pytest.raises(FileNotFoundError) as error:
        fetch_mnist(download_if_missing=False)
    message = str(error.value)
    assert "train-images-idx3-ubyte.gz is not in" in message
    assert f"put it in {data_home / 'mnist'}" in message
    assert all(
        address in message for address in _mnist.MNIST["train-images-idx3-ubyte.gz"].addresses
    )
    assert "SK_MIGE_DATA" in message
    assert not data_home.exists()


def test_missing_archive_names_where_it_is_unpacked(data_home):
    with pytest.raises(FileNotFoundError) as error:
        fetch_cifar100(download_if_missing=False)
    message = str(error.value)
    assert "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz" in message
    assert f"put it in {data_home}, where it is unpacked" in message
    assert str(data_home / "cifar-100-binary" / "train.bin") in message


@pytest.mark.parametrize(("fetch", "name"), [(fetch_mnist, "mnist"), (fetch_cifar10, "cifar")])
def test_the_error_of_a_failed_download_has_its_cause(data_home, offline, fetch, name):
    with pytest.raises(FileNotFoundError, match=rf"not be downloaded.*{name}.*Errors: http"):
        fetch()


def test_without_pooch_the_extra_and_the_way_by_hand_are_named(data_home, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"install sk-mige\[data\]\. Download .* put it in"):
        fetch_mnist()


def test_files_are_downloaded_once(data_home, write_mnist, publish, monkeypatch, website):
    images, labels = write_mnist()
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        path = data_home / "mnist" / name
        published = publish(_mnist.MNIST[name], path.read_bytes())
        monkeypatch.setitem(_mnist.MNIST, name, published)
        path.unlink()
    X, y = fetch_mnist(return_X_y=True)
    np.testing.assert_array_equal(X, images.reshape(len(images), -1))
    np.testing.assert_array_equal(y, labels)
    for path in website[0].iterdir():
        path.unlink()
    np.testing.assert_array_equal(fetch_mnist().data, X)


def test_the_second_address_serves_where_the_first_does_not(
    data_home, cifar_members, publish, tmp_path, monkeypatch
):
    make_archive(tmp_path / "made.tar.gz", cifar_members)
    content = (tmp_path / "made.tar.gz").read_bytes()
    monkeypatch.setattr(_cifar, "CIFAR10", publish(_cifar.CIFAR10, content, dead_mirror=True))
    bunch = fetch_cifar10()
    assert bunch.target.tolist() == [3] * 5
    np.testing.assert_array_equal(bunch.data[0], np.tile(np.arange(256), 12))


def test_a_file_of_another_hash_is_never_kept(data_home, publish, monkeypatch):
    name = "train-images-idx3-ubyte.gz"
    published = publish(_mnist.MNIST[name], b"something else")
    monkeypatch.setitem(_mnist.MNIST, name, replace(published, md5=_mnist.MNIST[name].md5))
    with pytest.raises(FileNotFoundError, match="hash"):
        fetch_mnist()
    assert not any((data_home / "mnist").iterdir())


def test_archive_is_unpacked_to_known_names_only(
    data_home, cifar_members, publish, tmp_path, monkeypatch
):
    make_archive(tmp_path / "made.tar.gz", cifar_members)
    content = (tmp_path / "made.tar.gz").read_bytes()
    monkeypatch.setattr(_cifar, "CIFAR10", publish(_cifar.CIFAR10, content))
    fetch_cifar10()
    everything = {str(p.relative_to(data_home)) for p in data_home.rglob("*") if p.is_file()}
    assert everything == {f"cifar-10-batches-bin/{name}" for name in _cifar.CIFAR10.members}
    assert not (data_home.parent / "outside.bin").exists()
    assert not Path("/tmp/absolute-of-sk-mige.bin").exists()


def test_a_member_that_is_a_link_is_not_followed(data_home, cifar_members, tmp_path, monkeypatch):
    archive = data_home / _cifar.CIFAR10.name
    del cifar_members[f"cifar-10-batches-bin/{NAMES}"]
    make_archive(archive, cifar_members)
    with tarfile.open(archive) as old, tarfile.open(tmp_path / "new.tar.gz", "w:gz") as new:
        for member in old:
            new.addfile(member, io.BytesIO(old.extractfile(member).read()))
        link = tarfile.TarInfo(f"cifar-10-batches-bin/{NAMES}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        new.addfile(link)
    (tmp_path / "new.tar.gz").replace(archive)
    monkeypatch.setattr(_cifar, "CIFAR10", replace(_cifar.CIFAR10, md5=md5(archive)))
    with pytest.raises(ValueError, match=f"lacks cifar-10-batches-bin/{NAMES}"):
        fetch_cifar10()


def test_an_archive_put_there_by_hand_is_unpacked_and_kept(data_home, cifar_members, monkeypatch):
    archive = data_home / _cifar.CIFAR10.name
    make_archive(archive, {f"./{name}": content for name, content in cifar_members.items()})
    monkeypatch.setattr(_cifar, "CIFAR10", replace(_cifar.CIFAR10, md5=md5(archive)))
    mine = data_home / "cifar-10-batches-bin" / "test_batch.bin"
    mine.parent.mkdir()
    mine.write_bytes(bytes([1]) + bytes(3072))
    assert fetch_cifar10(download_if_missing=False).data.shape == (5, 3072)
    assert archive.exists()
    assert fetch_cifar10(subset="test").target.tolist() == [1]  # not replaced


def test_an_incomplete_archive_is_refused_and_kept(data_home, cifar_members):
    archive = data_home / _cifar.CIFAR10.name
    make_archive(archive, cifar_members)
    with pytest.raises(ValueError, match=r"md5 sum .* Remove the file"):
        fetch_cifar10()
    assert archive.exists()


@pytest.mark.parametrize("content", [b"", b"not an archive", "cut"])
def test_what_cannot_be_unpacked_leaves_nothing_behind(
    data_home, cifar_members, monkeypatch, content
):
    archive = data_home / _cifar.CIFAR10.name
    cifar_members["cifar-10-batches-bin/data_batch_1.bin"] = np.random.default_rng(0).bytes(200_000)
    make_archive(archive, cifar_members)
    archive.write_bytes(archive.read_bytes()[:100_000] if content == "cut" else content)
    monkeypatch.setattr(_cifar, "CIFAR10", replace(_cifar.CIFAR10, md5=md5(archive)))
    with pytest.raises(ValueError, match="cannot be unpacked"):
        fetch_cifar10()
    assert [p.name for p in data_home.rglob("*") if p.is_file()] == [archive.name]


def test_a_file_takes_its_name_only_once_complete(tmp_path):
    target = tmp_path / "folder" / "file.bin"

    def interrupted():
        with replacing(target) as part:
            part.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(target.parent.iterdir()) == []
    with replacing(target) as part:
        part.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"
    assert list(target.parent.iterdir()) == [target]


def test_two_processes_can_unpack_an_archive_at_the_same_time(
    data_home, cifar_members, tmp_path, monkeypatch
):
    make_archive(tmp_path / "made.tar.gz", cifar_members)
    folders = []

    def retrieve(url, known_hash, fname, path):
        shutil.copy(tmp_path / "made.tar.gz", Path(path) / fname)
        folders.append(path)
        if len(folders) == 1:  # a second call runs during the first download
            assert fetch_cifar10().target.tolist() == [3] * 5

    monkeypatch.setitem(sys.modules, "pooch", SimpleNamespace(retrieve=retrieve))
    assert fetch_cifar10().target.tolist() == [3] * 5
    assert len(set(folders)) == 2
    assert [p.name for p in data_home.iterdir()] == ["cifar-10-batches-bin"]


def test_a_download_that_fails_leaves_nothing_behind(data_home, monkeypatch):
    def retrieve(url, known_hash, fname, path):
        (Path(path) / fname).write_bytes(b"half")
        raise OSError("the connection was lost")

    monkeypatch.setitem(sys.modules, "pooch", SimpleNamespace(retrieve=retrieve))
    with pytest.raises(FileNotFoundError, match="the connection was lost"):
        fetch_cifar10()
    assert not any(data_home.iterdir())
