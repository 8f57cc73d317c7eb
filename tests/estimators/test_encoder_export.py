"""Export of trained networks by safetensors, torch.export and ONNX; files without data."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import skops.io
import torch
from safetensors.torch import load_file, save_file

from sk_mige import MIGEEncoder
from sk_mige.networks import Representation

ENCODERS: dict[str, dict[str, Any]] = {
    "infomax": {},
    "bottleneck": {"mode": "ib"},
    "images": {"encoder": "conv", "input_shape": (1, 8, 8)},
}


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(120, 64))


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request: pytest.FixtureRequest, X: np.ndarray) -> MIGEEncoder:
    options = ENCODERS[request.param]
    if options.get("encoder") is None:
        options = options | {"hidden_layer_sizes": (8,)}
    made = MIGEEncoder(3, max_epochs=1, device="cpu", random_state=0, **options)
    return made.fit(X, X[:, 0] > 0)


def test_exported_programs_compute_representations_of_any_number_of_rows(
    encoder: MIGEEncoder, X: np.ndarray
) -> None:
    rows = torch.from_numpy(X).float()
    sizes = ({0: torch.export.Dim("n_samples")},)
    network = Representation(encoder.module_)
    program = torch.export.export(network, (rows[:2],), dynamic_shapes=sizes)
    np.testing.assert_allclose(program.module()(rows), encoder.transform(X), atol=1e-5)
    assert not network.train().training


def test_an_encoder_in_place_of_its_network_is_refused(encoder: MIGEEncoder) -> None:
    with pytest.raises(TypeError, match="got MIGEEncoder: pass module_ of a fitted MIGEEncoder"):
        Representation(encoder)


def test_compiled_networks_compute_the_same(encoder: MIGEEncoder, X: np.ndarray) -> None:
    # This backend traces and partitions a network like the default backend, but does not compile.
    compiled = torch.compile(Representation(encoder.module_), backend="aot_eager")
    with torch.no_grad():
        z = compiled(torch.from_numpy(X).float())
    np.testing.assert_allclose(z, encoder.transform(X), atol=1e-5)


def test_onnxruntime_computes_the_same(encoder: MIGEEncoder, X: np.ndarray, tmp_path: Path) -> None:
    rows = torch.zeros(2, 64)
    path = tmp_path / "encoder.onnx"
    torch.onnx.export(
        Representation(encoder.module_),
        (rows,),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n_samples")},),
        input_names=["X"],
        output_names=["z"],
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path)
    (z,) = session.run(["z"], {"X": X.astype(np.float32)})
    np.testing.assert_allclose(z, encoder.transform(X), rtol=1e-4, atol=1e-5)


def test_weights_are_stored_as_safetensors(
    encoder: MIGEEncoder, X: np.ndarray, tmp_path: Path
) -> None:
    other = pickle.loads(pickle.dumps(encoder))
    for parameter in other.module_.parameters():
        parameter.data.zero_()
    save_file(encoder.module_.state_dict(), tmp_path / "ours.safetensors")
    other.module_.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    np.testing.assert_array_equal(other.transform(X), encoder.transform(X))
    # By skorch's own method.
    encoder.net_.save_params(f_params=tmp_path / "net.safetensors", use_safetensors=True)
    written = load_file(tmp_path / "net.safetensors")
    assert written.keys() == encoder.module_.state_dict().keys()


def test_files_hold_no_row_of_the_data(encoder: MIGEEncoder, X: np.ndarray) -> None:
    stream = io.BytesIO()
    torch.save(encoder.module_.state_dict(), stream)
    for stored in (pickle.dumps(encoder), skops.io.dumps(encoder), stream.getvalue()):
        for dtype in (np.float32, np.float64):
            assert not any(row.astype(dtype).tobytes() in stored for row in X)


def test_files_without_a_newer_parameter_are_read(encoder: MIGEEncoder, X: np.ndarray) -> None:
    state = encoder.__getstate__()
    del state["mixed_precision"]
    older = MIGEEncoder.__new__(MIGEEncoder)
    older.__setstate__(state)
    assert older.mixed_precision == MIGEEncoder().mixed_precision
    np.testing.assert_array_equal(older.transform(X), encoder.transform(X))
