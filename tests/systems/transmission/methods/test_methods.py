"""What the methods learn and do: tiny trainings with known ends, and what each is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.systems.transmission import tiny
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.diffusion import to_signed
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.systems.transmission.channel import add_noise
from unpaired.systems.transmission.methods.separate import best_file, decode
from unpaired.systems.transmission.sending import Channel, send_padded

SNR_5, SNR_MINUS5 = (catalog.conditions()[name] for name in ("snr_5", "snr_minus5"))
CHANNEL = Channel(5.0, "set", ["a", "b", "c", "d"])


def batch_of(count: int = 4, side_px: int = 16) -> dict[str, torch.Tensor]:
    return {"image": tiny.pictures(count, side_px), "sample": torch.arange(count)}


@pytest.fixture
def shades(make_pack):
    """Pictures of one gray each, which a single symbol could tell."""
    levels = np.linspace(20, 235, 24).astype(np.uint8)
    return make_pack({f"{k}": np.full((16, 16, 3), one, np.uint8) for k, one in enumerate(levels)})


# ---- The codec


@pytest.mark.long
def test_a_codec_learns_to_send_shades_and_better_over_a_better_channel(shades):
    fast = {"batch_size": 8, "learning_rate": 5e-3, "schedule": "warmup_cosine"}
    method = tiny.codec(widths="8", images_seen=1200, **fast)
    samples = method.samples([shades], seed=1, noise=None, noise_draw="fresh")
    train(method.train(), samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    method.eval()
    truth = torch.stack([torch.from_numpy(shades.read_unit(i)).permute(2, 0, 1) for i in shades])
    errors = {}
    for snr_db in (-5.0, 5.0):
        found = []
        for repeat in range(4):
            channel = Channel(snr_db, "set", [str(i) for i in shades], repeat)
            with torch.inference_mode():
                found.append((method.send(truth, channel).pictures - truth).square().mean())
        errors[snr_db] = float(torch.stack(found).mean())
    # The variance of the shades themselves is what the best single gray leaves.
    assert errors[5.0] < errors[-5.0] < 0.3 * float(truth.var())


def test_the_loss_is_the_error_after_a_channel_that_is_drawn_for_every_picture():
    method, batch = tiny.codec(snr_min_db=2.0, snr_max_db=2.0), batch_of()
    state = TrainingState(1, 0, 0, 0.0)
    loss = method.losses(batch, state)["loss"]
    generators = state.generators(batch["sample"], "channel")
    mirrored = [bool(torch.randint(2, (), generator=g)) for g in generators]
    picture = torch.stack(
        [one.flip(-1) if turn else one for one, turn in zip(batch["image"], mirrored, strict=True)]
    )
    for generator in generators:
        torch.rand((), generator=generator)
    snr_db = torch.full((4,), 2.0)
    arrived = method.decode(add_noise(method.encode(picture, snr_db), snr_db, generators), snr_db)
    torch.testing.assert_close(loss, (arrived - picture).square().mean())
    other = method.losses(batch | {"sample": torch.arange(4) + 4}, state)["loss"]
    assert other != loss


def test_what_arrives_depends_on_the_noise_and_lies_within_0_and_1():
    method, given = tiny.codec(), tiny.pictures(4)
    first = method.send(given, CHANNEL).pictures
    assert first.min() >= 0
    assert first.max() <= 1
    torch.testing.assert_close(first, method.send(given, CHANNEL).pictures)
    again = method.send(given, Channel(5.0, "set", CHANNEL.names, repeat=1)).pictures
    assert not torch.allclose(first, again)


def test_codecs_that_fit_no_picture_are_refused():
    with pytest.raises(UnpairedError, match="patch_px = 20 is no multiple of 8"):
        tiny.codec(patch_px=20)
    with pytest.raises(UnpairedError, match=r"SNR from 5\.0 to -5\.0 dB"):
        tiny.codec(snr_min_db=5.0, snr_max_db=-5.0)


# ---- What is learned for one channel


def of_channel(method, condition, pack):
    method.receive("codec", tiny.codec())
    samples = method.samples([pack], seed=1, noise=condition, noise_draw="fresh")
    return method.train(), samples


@pytest.mark.long
def test_the_coarse_part_learns_to_mimic_the_channel_down_to_its_floor(shades):
    method, samples = of_channel(
        tiny.invertible(std=None, images_seen=1200, batch_size=16, learning_rate=5e-3),
        SNR_5,
        shades,
    )
    assert float(method.snr_db) == 5
    result = train(method, samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    first, last = result.history[0], result.history[-1]
    assert first["loss"] == pytest.approx(first["plain"], rel=0.2)
    excess = [row["loss"] - row["floor"] for row in (first, last)]
    assert 0 <= excess[1] < 0.1 * excess[0]


def test_its_loss_is_equation_9_and_the_floor_is_of_two_draws():
    method, state, batch = tiny.invertible(), TrainingState(1, 0, 0, 0.0), batch_of()
    method.receive("codec", tiny.codec())
    picture, first, second = method.sent(batch, state)
    losses = method.losses(batch, state)
    coarse, _ = method.network(picture)
    torch.testing.assert_close(losses["loss"], (coarse - first).square().mean())
    torch.testing.assert_close(losses["floor"], (first - second).square().mean() / 2)
    assert losses["floor"] > 0
    assert not first.requires_grad
    # Noise is fresh in every step, for the same pictures.
    again = method.sent(batch | {"sample": batch["sample"] + 4}, state)
    assert not torch.allclose(again[1].flip(-1), first)


@pytest.mark.parametrize(("split", "levels"), [("haar_undecimated", 1), ("haar", 2)])
def test_what_was_received_and_own_details_make_the_picture_itself(split, levels):
    method = tiny.invertible(split=split, levels=levels, squeeze_px=1)
    picture = to_signed(tiny.pictures(2))
    # Where the coarse part is what was received, nothing changes.
    with torch.no_grad():
        coarse, details = method.network(picture)
        back = method.network.inverse(coarse, details, (16, 16))
        torch.testing.assert_close(back, picture, atol=1e-5, rtol=0)
        received = to_signed(tiny.pictures(2).flip(0))
        taken = method.take_back(picture, received)
        assert not torch.allclose(taken, picture, atol=0.05)
        if split == "haar":  # A bijection: the coarse part is now exactly what was received.
            target = method.network.target(received)
            torch.testing.assert_close(method.network(taken)[0], target, atol=1e-4, rtol=0)


def test_the_network_behind_the_codec_learns_the_mean_of_the_picture(make_pack):
    """Of pictures that are all one, that one, whatever arrives."""
    pack = make_pack({f"{k}": np.full((16, 16, 3), 70, np.uint8) for k in range(8)})
    method, samples = of_channel(tiny.post(), SNR_MINUS5, pack)
    assert float(method.snr_db) == -5
    method.config = create(
        "deepjscc_post", images_seen=960, batch_size=16, learning_rate=5e-3, patch_px=16
    ).config
    result = train(method, samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    first, last = result.history[0], result.history[-1]
    assert first["loss"] > 0.5 * first["received"]
    assert last["loss"] < 0.05 * last["received"]


def test_the_network_behind_has_the_size_of_the_invertible_one():
    from pathlib import Path

    from unpaired.pipeline.settings import load_settings

    config = Path(__file__).parents[4] / "config/config.yaml"
    demo = load_settings([config], None).overrides
    for overrides in ({}, demo):
        counts = []
        for name in ("invertible", "deepjscc_post"):
            with torch.device("meta"):
                network = create(name, **overrides.get(name, {})).network
            counts.append(sum(value.numel() for value in network.parameters()))
        assert counts[1] == pytest.approx(counts[0], rel=0.05)


def test_models_of_another_channel_or_size_are_refused():
    roles = {"codec": tiny.codec(), "inn": tiny.invertible(-5.0), "prior": tiny.prior()}
    product = tiny.receiver("commin", roles, start=0.5, steps=2)
    with pytest.raises(
        UnpairedError, match="learned for a channel of -5 dB, and this one has 5 dB"
    ):
        product.send(tiny.pictures(4), CHANNEL)
    behind = tiny.post(-5.0)
    behind.receive("codec", tiny.codec())
    with pytest.raises(UnpairedError, match="the post-network was learned"):
        behind.send(tiny.pictures(4), CHANNEL)
    with pytest.raises(UnpairedError, match="codec 16 px, prior 32 px"):
        tiny.receiver("unguided", {"codec": tiny.codec(), "prior": tiny.prior(patch_px=32)})
    with pytest.raises(UnpairedError, match="a prior is needed"):
        tiny.receiver("unguided", {"codec": tiny.codec()}).send(tiny.pictures(4), CHANNEL)
    with pytest.raises(UnpairedError, match="Invertible cannot be a codec"):
        tiny.receiver("separate_coding", {"codec": tiny.invertible()}).send(
            tiny.pictures(4), CHANNEL
        )


# ---- Receivers


def roles(**changes):
    return {"codec": tiny.codec(), "inn": tiny.invertible(), "prior": tiny.prior()} | changes


def test_a_receiver_sees_what_arrives_and_nothing_of_what_was_sent():
    """Another picture with the same symbols on the way makes no difference."""
    seen = []

    class Blind:
        multiple_px, config = 8, tiny.codec().config

        def eval(self):
            return self

        def requires_grad_(self, _):
            return self

        def transmit(self, picture, snr_db, generators):
            return torch.full_like(picture, 0.3)

        def symbols(self, height, width):
            return 4

    for shift in (0.0, 0.2):
        product = tiny.receiver("commin", roles(codec=Blind()), start=0.5, steps=3)
        with torch.inference_mode():
            seen.append(product.send((tiny.pictures(4) + shift).clamp(0, 1), CHANNEL).pictures)
    torch.testing.assert_close(*seen, atol=0, rtol=0)


def test_commin_without_a_step_size_is_the_unguided_chain():
    chain = {"start": 0.5, "steps": 4}
    free = tiny.receiver("commin", roles(), guidance=0.0, **chain)
    both = {key: value for key, value in roles().items() if key != "inn"}
    unguided = tiny.receiver("unguided", both, **chain)
    guided = tiny.receiver("commin", roles(), **chain)
    with torch.inference_mode():
        found = [one.send(tiny.pictures(4), CHANNEL).pictures for one in (free, unguided, guided)]
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=0)
    assert not torch.allclose(found[0], found[2], atol=1e-3)


def test_a_chain_from_noise_alone_begins_without_what_arrived():
    both = {key: value for key, value in roles().items() if key != "inn"}
    whole, half = (tiny.receiver("unguided", both, start=start, steps=3) for start in (1.0, 0.5))
    with torch.inference_mode():
        for product, differs in ((whole, False), (half, True)):
            first, other = (
                product.improved(to_signed(given), 5.0, CHANNEL.generators("x", "cpu"))
                for given in (tiny.pictures(4), tiny.pictures(4).flip(0))
            )
            assert torch.allclose(first, other) != differs


def test_the_mean_of_draws_is_theirs():
    both = {key: value for key, value in roles().items() if key != "inn"}
    product = tiny.receiver("unguided", both, start=0.5, steps=2, draws=2)
    single = tiny.receiver("unguided", both, start=0.5, steps=2)
    received = to_signed(tiny.codec().send(tiny.pictures(4), CHANNEL).pictures)
    drawn = CHANNEL.generators("sampling", "cpu")
    with torch.inference_mode():
        each = [single.improved(received, 5.0, drawn) for _ in range(2)]
        found = product.send(tiny.pictures(4), CHANNEL).pictures
    torch.testing.assert_close(found, ((each[0] + each[1]) / 2 + 1) / 2, atol=1e-5, rtol=0)


def test_the_step_size_of_a_chain_follows_snr_steps_and_start():
    product = tiny.receiver("commin", roles(), start=0.5, steps=30, guidance=2.0)
    expected = 2 * 0.5 * (16 / 256) * 1000 / 60
    assert product.zeta(5.0, tiny.pictures(1)) == pytest.approx(expected)
    assert product.zeta(-5.0, tiny.pictures(1)) == pytest.approx(0.6 * expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": 0.0}, "start must lie above 0"),
        ({"steps": 0}, "steps of method .* must be 1 at least"),
        ({"eta": 1.5}, "eta of method .* must be from 0 to 1, not 1.5"),
        ({"norm": "l3"}, "norm"),
        ({"guidance": -1.0}, "guidance of method .* must be 0 at least"),
    ],
)
def test_chains_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(UnpairedError, match=message):
        create("commin", **settings)


def test_more_steps_than_times_are_refused():
    product = tiny.receiver("commin", roles(), start=0.01, steps=50)
    with pytest.raises(UnpairedError, match="50 steps from time 10"):
        product.send(tiny.pictures(4), CHANNEL)


# ---- Separate coding


def smooth(side_px: int = 32) -> np.ndarray:
    y, x = np.mgrid[:side_px, :side_px] / side_px
    return (255 * np.stack([x, y, (x + y) / 2], axis=-1)).astype(np.uint8)


@pytest.mark.parametrize("name", ["jpeg2000", "avif"])
def test_the_best_file_within_a_budget_is_sent(name):
    grain = np.random.default_rng(0).normal(0, 12, (64, 64, 3))
    picture, errors = (smooth(64) + grain).clip(0, 255).astype(np.uint8), []
    for budget in (600, 2000, 6000):
        file = best_file(picture, name, budget)
        assert len(file) <= budget
        errors.append(np.square(decode(file).astype(float) - picture).mean())
    assert errors[0] > errors[1] > errors[2]
    assert best_file(picture, name, 20) is None


def test_the_budget_is_the_capacity_of_the_codecs_symbols():
    given = torch.from_numpy(smooth()).permute(2, 0, 1)[None].float() / 255
    codec = tiny.codec(patch_px=32)
    symbols = codec.symbols(32, 32)
    arrived = {}
    for factor in (1, 100):
        product = tiny.receiver("separate_coding", {"codec": codec}, symbols_factor=factor)
        arrived[factor] = send_padded(product, given, Channel(5.0, "set", ["a"]))
        assert arrived[factor].symbols == factor * symbols
    assert not arrived[1].came.any()
    assert arrived[1].pictures.abs().max() == 0
    assert arrived[100].came.all()
    assert (arrived[100].pictures - given).abs().mean() < 0.03
