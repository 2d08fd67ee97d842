from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.systems.degradation.small import SMALL
from unpaired.core.errors import UnpairedError
from unpaired.data.pack_in_parts import write_pack_in_parts
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.imaging.pixels import to_uint8
from unpaired.learning.create import create
from unpaired.learning.method import Observation
from unpaired.networks.latents import LatentLevel
from unpaired.systems.degradation import white_noise
from unpaired.systems.degradation.synthesis import draw_levels, pairs_of_pack, synthesize
from unpaired.systems.degradation.white_noise import noise_window


@pytest.fixture(params=list(SMALL))
def method(request):
    torch.manual_seed(0)
    method = create(request.param, **SMALL[request.param]).eval()
    if request.param == "deflow":  # It starts with hardly any shift.
        with torch.no_grad():
            for shift in method.network.shift:
                shift.mean += 0.2
                shift.factor += 0.2 * torch.eye(len(shift.factor))
    return method


def image(height=70, width=61):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("size", [(70, 61), (64, 64), (9, 13)])
def test_a_pair_has_the_size_of_the_image_and_is_finite(method, size):
    for generation_method in (2, 3):
        pair = synthesize(
            method, image(*size), key=(1,), t=2.0, generation_method=generation_method
        )
        for part in (pair.clean, pair.noisy):
            assert part.shape == (1, 3, *size)
            assert part.isfinite().all()


def test_the_noise_is_a_function_of_the_key(method):
    one, again, other = (
        synthesize(method, image(), key=key, t=1.0).noisy for key in ((1, "a"), (1, "a"), (1, "b"))
    )
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_the_global_random_state_does_not_matter(method):
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(synthesize(method, image(), key=(1,), t=1.0).noisy)
    assert torch.equal(*made)


def test_method_3_keeps_the_clean_image_and_method_2_the_noisy_one(method):
    pair = synthesize(method, image(), key=(1,), t=1.0)
    assert torch.equal(pair.clean, image())
    pair = synthesize(method, image(), key=(1,), t=1.0, generation_method=2)
    assert torch.equal(pair.noisy, image())


def test_method_2_is_the_image_decoded_without_noise(method):
    seen = image(64, 64)
    found = [
        synthesize(method, seen, key=key, t=t, generation_method=2).clean
        for key, t in (((1,), 1.0), ((2,), 3.0))
    ]
    assert torch.equal(*found)
    assert torch.equal(found[0], method.restore(Observation(seen)))


def test_method_3_is_the_methods_own_degradation_with_one_draw(method):
    seen = image(64, 72)
    noise = [
        noise_window((1, "noise level", number), level, 0, 0, 64, 72)
        for number, level in enumerate(method.noise_levels)
    ]
    expected = method.degrade(seen, noise, 3.0)
    assert torch.equal(synthesize(method, seen, key=(1,), t=3.0).noisy, expected)


@pytest.mark.parametrize("size", [(151, 190), (40, 260)])
def test_tiles_equal_the_whole(method, size):
    method.double()
    seen = image(*size).double()
    tiled = synthesize(method, seen, key=(1,), t=2.0, tile_px=32).noisy
    whole = synthesize(method, seen, key=(1,), t=2.0).noisy
    assert torch.allclose(tiled, whole, atol=1e-9)


@pytest.mark.parametrize("t", [0.99, 4.01, float("nan"), -1.0])
def test_a_noise_level_out_of_range_is_refused(method, t):
    with pytest.raises(
        UnpairedError, match=r"^the noise level t must lie between 1.0 and 4.0; got"
    ):
        synthesize(method, image(), key=(1,), t=t)


def test_generation_method_1_is_refused(method):
    with pytest.raises(UnpairedError, match="generation methods 2 and 3; got 1"):
        synthesize(method, image(), key=(1,), t=1.0, generation_method=1)


def test_levels_of_images_are_uniform_and_belong_to_the_key():
    """The paper has t from 1 to 4, the public code t of 1 and content noise from 30 to 70 / 255."""
    paper, public = (create(name, **SMALL[name]) for name in ("lud_vae", "lud_vae_public"))
    drawn = [draw_levels(paper, (1, n)) for n in range(2000)]
    assert draw_levels(paper, (1, 5)) == drawn[5]
    assert {levels["content_noise"] for levels in drawn} == {None}
    t = torch.tensor([levels["t"] for levels in drawn])
    assert 1 <= t.min() < 1.01
    assert 3.99 < t.max() <= 4
    assert t.mean().item() == pytest.approx(2.5, abs=0.06)
    drawn = [draw_levels(public, (1, n)) for n in range(2000)]
    assert {levels["t"] for levels in drawn} == {1.0}
    content = 255 * torch.tensor([levels["content_noise"] for levels in drawn])
    assert 30 <= content.min() < 30.2
    assert 69.8 < content.max() <= 70
    assert content.mean().item() == pytest.approx(50, abs=0.8)
    given = {"t": (1, 3), "content_noise": (10 / 255, 30 / 255)}  # The authors' for DND.
    levels = draw_levels(public, (1,), **given)
    assert 1 <= levels["t"] <= 3
    assert 10 / 255 <= levels["content_noise"] <= 30 / 255


def test_what_is_no_range_of_levels_is_refused(method):
    with pytest.raises(UnpairedError, match=r"t is a range, the least .* got \(3, 1\)"):
        draw_levels(method, (1,), t=(3, 1))
    paper = create("lud_vae", **SMALL["lud_vae"])
    with pytest.raises(UnpairedError, match="content_noise: only lud_vae_public"):
        draw_levels(paper, (1,), content_noise=(0.1, 0.2))


def test_the_content_noise_of_the_public_model_is_the_given_one():
    torch.manual_seed(0)
    public = create("lud_vae_public", **SMALL["lud_vae_public"]).eval()
    public.network.degrade = lambda content, noise, t: content
    seen = [
        synthesize(public, image(64, 64), key=(1,), t=1.0, content_noise=std).noisy - image(64, 64)
        for std in (0.0, 0.1, 0.2)
    ]
    assert seen[0].abs().max() == 0
    assert torch.allclose(2 * seen[1], seen[2], atol=1e-6)
    assert seen[1].std().item() == pytest.approx(0.1, rel=0.05)


def test_a_window_shows_the_same_noise_wherever_it_is_cut():
    level = LatentLevel(2, 4)
    whole = noise_window((1,), level, 0, 0, 600, 800)
    assert whole.shape == (1, 2, 150, 200)
    part = noise_window((1,), level, 240, 512, 88, 80)
    assert torch.equal(part, whole[..., 60:82, 128:148])
    assert whole.mean().abs() < 0.02
    assert whole.std().item() == pytest.approx(1, abs=0.02)
    blocks = whole[..., :128, :192].unfold(2, 64, 64).unfold(3, 64, 64).flatten(4).squeeze(0)
    rows = blocks.reshape(-1, 64 * 64)
    correlations = torch.corrcoef(rows) - torch.eye(len(rows))
    assert correlations.abs().max() < 0.08


def test_memory_of_the_noise_is_that_of_the_window(monkeypatch):
    drawn = []
    block = white_noise._block
    monkeypatch.setattr(white_noise, "_block", lambda *a: drawn.append(a) or block(*a))
    noise_window((1,), LatentLevel(1, 1), 6400, 6400, 128, 64)
    assert [(row, column) for *_, row, column in drawn] == [(100, 100), (101, 100)]


@pytest.fixture
def clean_pack(make_pack):
    rng = np.random.default_rng(0)
    return make_pack({n: rng.integers(0, 256, (24, 20, 3), dtype=np.uint8) for n in "ab"}, "clean")


def pairs(method, pack, **options):
    defaults = {"seed": 1, "generation_method": 3, "device": torch.device("cpu"), "stamp": {}}
    defaults["trained_on"] = {"noisy": pack.path}
    return list(pairs_of_pack(method, pack, **(defaults | options)))


def test_pairs_of_a_pack_keep_names_scenes_and_clean_pictures(method, clean_pack):
    made = pairs(method, clean_pack)
    assert [record.name for record in made] == ["a", "b"]
    assert [record.scene for record in made] == ["clean:a", "clean:b"]
    for index, record in enumerate(made):
        assert np.array_equal(record.arrays["clean"], clean_pack.read(index))
        assert record.arrays["noisy"].shape == record.arrays["clean"].shape
        assert record.arrays["noisy"].dtype == np.uint8


def test_each_picture_of_a_seed_has_its_own_noise_again_and_again(method, clean_pack):
    first, again, other = (pairs(method, clean_pack, seed=seed) for seed in (1, 1, 2))
    digests = [[record.sha256_pixels for record in made] for made in (first, again, other)]
    assert digests[0] == digests[1]
    key = (1, "pairs", "a")
    whole = torch.from_numpy(clean_pack.read_unit(0)).permute(2, 0, 1)[None]
    expected = to_uint8(
        synthesize(method, whole, key=key, **draw_levels(method, key))
        .noisy[0]
        .permute(1, 2, 0)
        .numpy()
    )
    assert np.array_equal(first[0].arrays["noisy"], expected)
    keys = (key, (2, "pairs", "a"), (1, "pairs", "b"))
    drawn = {tuple(draw_levels(method, one).values()) for one in keys}
    is_range = method.content_noise_range or len(set(method.t_range)) == 2
    assert len(drawn) == (3 if is_range else 1)


def test_method_2_makes_the_clean_picture(method, clean_pack):
    record = pairs(method, clean_pack, generation_method=2)[0]
    assert np.array_equal(record.arrays["noisy"], clean_pack.read(0))
    assert not np.array_equal(record.arrays["clean"], clean_pack.read(0))


def test_pairs_go_on_where_they_were_killed(method, clean_pack, tmp_path):
    """The second picture fails the first time; the first is not made again."""
    made = []
    restore = method.degrade

    def degrade(*arguments):
        made.append(arguments)
        if len(made) == 2:
            raise KeyboardInterrupt
        return restore(*arguments)

    method.degrade = degrade
    about = {"source": "p", "value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    parts = pairs_of_pack(
        method,
        clean_pack,
        trained_on={},
        seed=1,
        generation_method=3,
        device=torch.device("cpu"),
        stamp={},
    )
    with pytest.raises(KeyboardInterrupt):
        write_pack_in_parts(tmp_path / "p.h5", parts, **about)
    assert write_pack_in_parts(tmp_path / "p.h5", parts, **about).pictures == 2
    assert len(made) == 3


def small_lud_vae(**settings):
    torch.manual_seed(0)
    return create("lud_vae", **SMALL["lud_vae"], **settings).eval()


def test_noise_can_be_added_to_the_picture_itself():
    seen = image(64, 72)
    usual, own = small_lud_vae(), small_lud_vae(adds_to="picture")
    made, added_to_picture = (synthesize(m, seen, key=(1,), t=2.0).noisy for m in (usual, own))
    reconstruction = usual.restore(Observation(seen))
    assert torch.allclose(added_to_picture - seen, made - reconstruction, atol=1e-5)
    assert not torch.allclose(added_to_picture, made)


def test_a_method_says_how_its_latents_are_drawn_and_pairs_may_say_otherwise(tmp_path):
    noisy, clean = (write_clean_pack(tmp_path / f"{name}.h5") for name in ("noisy", "clean"))
    about = {"trained_on": {"noisy": noisy.path, "clean": clean.path}, "seed": 1, "stamp": {}}
    about |= {"generation_method": 3, "device": torch.device("cpu")}

    def first(method, **how):
        return pairs_of_pack(method, clean, **about, **how).parts[0].read().arrays["noisy"]

    prior, posterior = small_lud_vae(patch_px=32), small_lud_vae(patch_px=32, sampling="posterior")
    assert np.array_equal(first(posterior), first(prior, sampling="posterior"))
    assert np.array_equal(first(posterior, sampling="prior"), first(prior))
    assert not np.array_equal(first(prior), first(posterior))
    with pytest.raises(UnpairedError, match="sampling"):
        small_lud_vae(sampling="postorior")


def test_what_else_a_pack_holds_of_a_picture_is_passed_on(tmp_path):
    clean = write_clean_pack(tmp_path / "clean.h5", with_large=True)
    pairs = pairs_of_pack(
        small_lud_vae(),
        clean,
        trained_on={},
        seed=1,
        generation_method=3,
        device=torch.device("cpu"),
        stamp={},
    )
    record = next(iter(pairs))
    assert sorted(record.arrays) == ["clean", "large", "noisy"]
    assert np.array_equal(record.arrays["large"], clean.read(0, "large"))
    assert np.array_equal(record.arrays["clean"], clean.read(0))


def write_clean_pack(path, with_large=False):
    rng = np.random.default_rng(3)
    records = []
    for number in range(2):
        arrays = {"image": rng.integers(0, 256, (40, 48, 3), np.uint8)}
        if with_large:
            arrays["large"] = rng.integers(0, 256, (160, 192, 3), np.uint8)
        records.append(Record(f"{path.stem}{number}", arrays, f"{path.stem}{number}"))
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack(path, records, source=path.stem, **about)
    return Pack(path)
