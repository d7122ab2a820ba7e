"""ONNX Runtime gives the network's own embeddings and logits, for any number of images, prompts and points."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sam_myelin import onnx_export as module
from sam_myelin.network import SamMyelin
from sam_myelin.onnx_export import export_decoder, export_encoder, main

from tests.processes import run_module

pytestmark = pytest.mark.slow

SIZE = 224
TOLERANCE = 1e-4


def random_network(size=SIZE):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SamMyelin("efficient", size)


@pytest.fixture(scope="module")
def network():
    return random_network().eval()


@pytest.fixture(scope="module")
def encoder(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    export_encoder(network, path)
    return path


@pytest.fixture(scope="module")
def decoder(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("decoder") / "decoder.onnx"
    export_decoder(network, path)
    return path


def run(path, **inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert {value.name for value in session.get_inputs()} == set(inputs)
    names = [value.name for value in session.get_outputs()]
    found = session.run(names, {name: value.numpy() for name, value in inputs.items()})
    return dict(zip(names, found, strict=True))


def prompts(num_images, num_prompts, num_points):
    generator = torch.Generator().manual_seed(num_prompts)
    corners = torch.rand(num_images, num_prompts, 2, 2, generator=generator).sort(dim=2)[0] * (SIZE - 1)
    return {
        "boxes": corners.flatten(2),
        "points": torch.rand(num_images, num_prompts, num_points, 2, generator=generator) * (SIZE - 1),
        "point_labels": torch.randint(-1, 2, (num_images, num_prompts, num_points), generator=generator).float(),
    }


@pytest.mark.parametrize("num_images", [1, 3])
def test_embeddings_are_the_networks(network, encoder, num_images):
    images = torch.randn(num_images, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    found = run(encoder, image=images)
    with torch.no_grad():
        np.testing.assert_allclose(found["embedding"], network.encode(images).numpy(), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("numbers", [(1, 1, 1), (1, 7, 1), (2, 4, 3)], ids=str)
@pytest.mark.parametrize("kind", ["boxes and points", "boxes", "points", "mixed"])
def test_logits_are_the_networks(network, decoder, numbers, kind):
    given = prompts(*numbers)
    if kind == "boxes":
        given["point_labels"][:] = -1
    if kind == "points":
        given["boxes"][:] = torch.nan
    if kind == "mixed":
        given["boxes"][:, ::2], given["point_labels"][:, 1::2] = torch.nan, -1
    embedding = torch.randn(numbers[0], 256, SIZE // 16, SIZE // 16, generator=torch.Generator().manual_seed(1))
    found = run(decoder, embedding=embedding, **given)
    with torch.no_grad():
        expected = dict(zip(("logits", "iou"), network.decode(embedding, **given), strict=True))
    assert found["logits"].shape == (*numbers[:2], 1, SIZE // 4, SIZE // 4)
    for name, value in expected.items():
        assert value.isfinite().all()
        np.testing.assert_allclose(found[name], value.numpy(), rtol=0, atol=TOLERANCE)


def test_files_are_valid(encoder, decoder):
    for path in (encoder, decoder):
        assert onnx.checker.check_model(path, full_check=True) is None  # it raises where one is not


def test_nothing_else_is_written_and_the_network_stays_as_it_was(encoder, decoder, tmp_path):
    assert [path.name for folder in (encoder.parent, decoder.parent) for path in folder.iterdir()] == [
        "encoder.onnx",
        "decoder.onnx",
    ]
    network = random_network(32)
    export_decoder(network, tmp_path / "decoder.onnx")
    assert network.training and network.image_encoder.training


@pytest.mark.thorough
def test_many_weights_go_to_a_file_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1000)
    network = random_network(32).eval()
    export_encoder(network, tmp_path / "encoder.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder.onnx", "encoder.onnx.data"]
    image = torch.rand(1, 3, 32, 32)
    found = run(tmp_path / "encoder.onnx", image=image)
    with torch.no_grad():
        np.testing.assert_allclose(found["embedding"], network.encode(image).numpy(), rtol=0, atol=TOLERANCE)


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(part, inputs, path, **options):
        path.touch()
        raise RuntimeError("unsupported")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(RuntimeError, match="unsupported"):
        export_decoder(random_network(32), tmp_path / "decoder.onnx")
    assert [*tmp_path.iterdir()] == []


def test_command_writes_both(tmp_path, capsys, monkeypatch):
    expected, seen = random_network(32).state_dict(), []

    def remember(network, path):
        seen.append((network, path))

    monkeypatch.setattr(module, "export_encoder", remember)
    monkeypatch.setattr(module, "export_decoder", remember)
    torch.save(expected, tmp_path / "model.pt")
    arguments = ["--ckpt_path", str(tmp_path / "model.pt"), "--variant", "efficient", "--image_size", "32"]
    main([*arguments, "--output_dir", str(tmp_path / "onnx")])
    paths = [tmp_path / "onnx" / name for name in ("encoder.onnx", "decoder.onnx")]
    assert [path for _, path in seen] == paths and capsys.readouterr().out.splitlines() == [*map(str, paths)]
    state = seen[0][0].state_dict()
    assert seen[0][0].image_size == 32 and all(torch.equal(state[name], value) for name, value in expected.items())


def test_command_refuses_in_one_line(tmp_path):
    words = ["--ckpt_path", "nowhere.pt", "--variant", "efficient", "--output_dir", tmp_path / "onnx"]
    code, output = run_module("sam_myelin.onnx_export", *words, cwd=Path(module.__file__).parents[1])
    assert code == 1 and not (tmp_path / "onnx").exists()
    assert output.splitlines() == ["error: nowhere.pt: no such checkpoint; train first, or give another --ckpt_path"]
