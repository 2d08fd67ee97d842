"""The authors' weights of interactive colorization, on files made in their layout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.learning.authors_weights import import_weights
from unpaired.learning.weights import load_model, read_notes

# Block -> inputs, outputs, convolutions, dilation: as the thesis tells them.
BLOCKS = {
    1: (4, 64, 2, 1),
    2: (64, 128, 2, 1),
    3: (128, 256, 3, 1),
    4: (256, 512, 3, 1),
    5: (512, 512, 3, 2),
    6: (512, 512, 3, 2),
    7: (512, 512, 3, 1),
}
FILE = "siggraph17-df00044c.pth"


def drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if name.endswith("running_var"):
            values = values.abs() + 0.5
        elif len(shape) == 4:
            values = values * (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        else:
            values = 0.1 * values + (1 if name.endswith("norm.weight") else 0)
        made[name.replace("norm.", "")] = values
    return made


def layer(name, inputs, outputs, side=3, transposed=False):
    first = (inputs, outputs) if transposed else (outputs, inputs)
    return {f"{name}.weight": (*first, side, side), f"{name}.bias": (outputs,)}


def norm(name, channels):
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.norm.{kind}": (channels,) for kind in kinds}


@pytest.fixture(scope="module")
def theirs() -> dict[str, Tensor]:
    """Random weights under the authors' names."""
    shapes = {}
    for block, (inputs, outputs, count, _) in BLOCKS.items():
        for index in range(count):
            shapes |= layer(f"model{block}.{2 * index}", outputs if index else inputs, outputs)
        shapes |= norm(f"model{block}.{2 * count}", outputs)
    shapes |= layer("model8up.0", 512, 256, 4, transposed=True) | layer("model3short8.0", 256, 256)
    shapes |= layer("model8.1", 256, 256) | layer("model8.3", 256, 256) | norm("model8.5", 256)
    shapes |= layer("model9up.0", 256, 128, 4, transposed=True) | layer("model2short9.0", 128, 128)
    shapes |= layer("model9.1", 128, 128) | norm("model9.3", 128)
    shapes |= layer("model10up.0", 128, 128, 4, transposed=True) | layer("model1short10.0", 64, 128)
    shapes |= layer("model10.1", 128, 128)
    shapes |= layer("model_class.0", 256, 529, 1) | layer("model_out.0", 128, 2, 1)
    made = drawn(shapes)
    counts = {
        f"{name.rpartition('.')[0]}.num_batches_tracked": torch.tensor(1)
        for name in made
        if name.endswith("running_mean")
    }
    return made | counts


def plain(w, lightness, ab, mask):
    """Return ab and logits, in the authors' units, layer by layer."""

    def conv(name, x, dilation=1):
        weight = w[f"{name}.weight"]
        padding = dilation * (weight.shape[-1] // 2)
        return functional.conv2d(x, weight, w[f"{name}.bias"], padding=padding, dilation=dilation)

    def up(name, x):
        return functional.conv_transpose2d(
            x, w[f"{name}.weight"], w[f"{name}.bias"], stride=2, padding=1
        )

    def normalized(name, x):
        kept = [w[f"{name}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(x, *kept)

    x = torch.cat([(lightness - 50) / 100, ab / 110, mask], 1)
    maps = {}
    for block, (_, _, count, dilation) in BLOCKS.items():
        for index in range(count):
            x = functional.relu(conv(f"model{block}.{2 * index}", x, dilation))
        maps[block] = normalized(f"model{block}.{2 * count}", x)
        x = maps[block][..., ::2, ::2] if block < 4 else maps[block]
    x = functional.relu(up("model8up.0", x) + conv("model3short8.0", maps[3]))
    x = functional.relu(conv("model8.3", functional.relu(conv("model8.1", x))))
    eighth = normalized("model8.5", x)
    x = functional.relu(up("model9up.0", eighth) + conv("model2short9.0", maps[2]))
    x = normalized("model9.3", functional.relu(conv("model9.1", x)))
    x = functional.relu(up("model10up.0", x) + conv("model1short10.0", maps[1]))
    x = functional.leaky_relu(conv("model10.1", x), 0.2)
    return 110 * torch.tanh(conv("model_out.0", x)), conv("model_class.0", eighth)


def given():
    generator = torch.Generator().manual_seed(1)
    lightness = 100 * torch.rand(1, 1, 24, 32, generator=generator)
    mask = (torch.rand(1, 1, 24, 32, generator=generator) > 0.9).float()
    return lightness, 60 * torch.randn(1, 2, 24, 32, generator=generator) * mask, mask


@pytest.mark.parametrize(
    ("file", "written", "center"),
    [
        (FILE, "siggraph17", 0.0),
        pytest.param("caffemodel.pth", "caffemodel", 0.0, marks=pytest.mark.long),
        ("pytorch_trained.pth", "pytorch_trained", 0.5),
    ],
)
def test_a_made_file_computes_what_the_plain_formulation_does(
    tmp_path, monkeypatch, theirs, file, written, center
):
    monkeypatch.chdir(tmp_path)
    torch.save(theirs, tmp_path / file)
    path, option = import_weights("local_hints", tmp_path / file)
    assert (path.as_posix(), option) == (f"weights/local_hints/{written}.safetensors", "--model")
    assert read_notes(path)["train_set"] == "imagenet_train"
    name, method = load_model(path)
    assert name == "local_hints"
    assert sum(parameter.numel() for parameter in method.parameters()) == 34_187_027
    lightness, ab, mask = given()
    with torch.no_grad():
        colors, logits = plain(theirs, lightness, ab, mask - center)
        found = method.network(lightness, ab, mask, with_logits=True)
    assert (found.ab - colors).abs().max() / 110 < 1e-5
    assert torch.allclose(found.logits, logits, atol=1e-4, rtol=1e-4)
    assert torch.equal(method.colorize(lightness, ab=ab, mask=mask), found.ab)
    _, softened = method.suggestions(lightness, ab, mask)
    assert torch.allclose(softened, 0.2 * logits, atol=1e-4, rtol=1e-4)


def test_another_name_is_refused_since_nothing_else_tells_what_the_mask_is(tmp_path, theirs):
    torch.save(theirs, tmp_path / "model.pth")
    with pytest.raises(UnpairedError, match=r"siggraph17-df00044c\.pth.*give the file back"):
        import_weights("local_hints", tmp_path / "model.pth", output=tmp_path / "o.safetensors")


def test_other_names_and_shapes_are_listed(tmp_path, theirs):
    wrong = dict(theirs)
    del wrong["model9.1.bias"]
    wrong["model_class.0.weight"] = torch.zeros(313, 256, 1, 1)
    torch.save(wrong, tmp_path / FILE)
    with pytest.raises(UnpairedError, match=r"model9\.1\.bias") as raised:
        import_weights("local_hints", tmp_path / FILE, output=tmp_path / "o.safetensors")
    assert "model_class.0.weight" in str(raised.value)
    assert not (tmp_path / "o.safetensors").exists()


def test_a_noise_means_nothing(tmp_path):
    with pytest.raises(UnpairedError, match="no meaning"):
        import_weights("local_hints", tmp_path / FILE, "gauss25")
