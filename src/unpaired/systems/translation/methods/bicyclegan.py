"""BicycleGAN (Zhang 2018, section 4.3), and the five variants that it is compared with.

    encoded:  z ~ N(mu, exp(log_variance)) of E(B),   G(A, z) is to be B, and real        (cVAE-GAN)
    drawn:    z ~ N(0, I),   G(A, z) is to be real, and E of it to be z                    (cLR-GAN)

    L = L_GAN(encoded) + lambda |G(A, z) - B|_1 + lambda_KL KL(E(B) || N(0, I))
        + L_GAN(drawn) + lambda_latent |mu(E(G(A, z))) - z|_1              (Equations 4.5 to 4.9)

L_GAN has squared errors, summed over the two scales of a critic; each path has a critic of its own.
Where thesis and authors' code differ, the code made the printed numbers, and is followed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call
from torch.nn.functional import l1_loss, mse_loss

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import CountFromZero, PositiveNumber
from unpaired.data.packs import Pack
from unpaired.learning.diffusion import draw, from_signed, to_signed
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.learning.schedules import falls_in_second_half
from unpaired.networks.bicyclegan import (
    TO_ALL,
    TO_INPUT,
    ConvEncoder,
    RejoinedUNetGenerator,
    ResnetEncoder,
    TwoScaleCritic,
    UNetGenerator,
    initialize,
)
from unpaired.systems.translation.samples import TranslationSamples

GENERATOR, CRITICS = "generator", "critics"
ENCODED, DRAWN = "encoded", "drawn"
GENERATORS = {"unet": UNetGenerator, "rejoined_unet": RejoinedUNetGenerator}
ENCODERS = {"resnet": ResnetEncoder, "cnn": ConvEncoder}
GRAY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Variant:
    """What a variant learns by. encodes, draws: its paths. kl: whether encoded codes are normal.

    l1: the path whose output is to be that of the pair. latent: whether drawn codes are to be found
    again; encoder_learns_latent: whether the encoder learns by that, as in Equation 4.8, or is held
    while the generator does, as in the authors' code, where the encoded path teaches it.
    """

    encodes: bool = False
    draws: bool = False
    kl: bool = False
    l1: str | None = None
    latent: bool = False
    encoder_learns_latent: bool = False


VARIANTS = {
    "bicyclegan": Variant(encodes=True, draws=True, kl=True, l1=ENCODED, latent=True),
    "pix2pix_noise": Variant(draws=True, l1=DRAWN),
    "cae_gan": Variant(encodes=True, l1=ENCODED),
    "cvae_gan": Variant(encodes=True, kl=True, l1=ENCODED),
    "cvae_gan_pp": Variant(encodes=True, draws=True, kl=True, l1=ENCODED),
    "clr_gan": Variant(draws=True, latent=True, encoder_learns_latent=True),
}


@dataclass(frozen=True, kw_only=True)
class BicycleGANConfig:
    """The authors' defaults. Lengths: 200 + 200 epochs of the 400 facades, two pictures a step.

    variant: of VARIANTS. encoder: E_ResNet or E_CNN. injection: where the code joins.
    code_dim: |z|. generator: the U-Net, or the one for small pictures (`networks.bicyclegan`).
    input_channels: 1 turns the input to gray. levels, width: of the generator; encoder_blocks: each
    halves the size. initialization_gain: of Xavier's normal numbers.
    kl_weight: of a sum over the batch, so it weighs the more the larger the batch. The others are
    of means.
    flips: whether pairs are mirrored at random.
    """

    variant: str = "bicyclegan"
    encoder: str = "resnet"
    injection: str = TO_ALL
    code_dim: int = 8
    generator: str = "unet"
    input_channels: int = 3
    levels: int = 8
    width: int = 64
    encoder_width: int = 64
    encoder_blocks: int = 4
    critic_width: int = 64
    critic_layers: CountFromZero = 3
    initialization_gain: PositiveNumber = 0.02
    l1_weight: float = 10.0
    kl_weight: float = 0.01
    latent_weight: float = 0.5
    flips: bool = True
    images_seen: int = 80_000
    batch_size: int = 1
    patch_px: int = 256
    learning_rate: PositiveNumber = 2e-4

    def __post_init__(self) -> None:
        check_choice("bicyclegan", "variant", self.variant, VARIANTS)
        check_choice("bicyclegan", "encoder", self.encoder, ENCODERS)
        check_choice("bicyclegan", "injection", self.injection, (TO_ALL, TO_INPUT))
        check_choice("bicyclegan", "generator", self.generator, GENERATORS)
        if self.input_channels not in (1, 3) or self.levels < 2:
            raise UnpairedError("bicyclegan: input_channels must be 1 or 3, levels 2 or more")
        if self.patch_px % 2**self.levels:
            raise UnpairedError(
                f"bicyclegan: patch_px must be a multiple of {2**self.levels} with "
                f"{self.levels} levels, not {self.patch_px}"
            )


class BicycleGAN(Method):
    """Generator and encoder first, then critics of what these made before their step.

    A sample is a pair and the output of another one: the authors' batch of two. Its product is
    ``translate``, by any code, and ``encode`` where it has an encoder.
    """

    Config: ClassVar[type] = BicycleGANConfig
    sees: ClassVar[tuple[str, ...]] = ("input", "output", "other_output")
    config: BicycleGANConfig

    def __init__(self, config: BicycleGANConfig) -> None:
        super().__init__(config)
        self.variant = VARIANTS[config.variant]
        shared = {"code_dim": config.code_dim, "width": config.width, "levels": config.levels}
        make = GENERATORS[config.generator]
        self.generator = make(config.input_channels, injection=config.injection, **shared)
        self.encoder = None
        if self.variant.encodes or self.variant.latent:
            self.encoder = ENCODERS[config.encoder](
                code_dim=config.code_dim, width=config.encoder_width, blocks=config.encoder_blocks
            )
        paths = {ENCODED: self.variant.encodes, DRAWN: self.variant.draws}
        self.critics = nn.ModuleDict(
            {
                path: TwoScaleCritic(width=config.critic_width, layers=config.critic_layers)
                for path, is_there in paths.items()
                if is_there
            }
        )
        initialize(self, config.initialization_gain)
        self._made: dict[str, Tensor] = {}

    @property
    def multiple_px(self) -> int:
        """Sides of an input are multiples of this."""
        return self.generator.multiple_px

    @property
    def code_dim(self) -> int:
        """How many numbers a code has."""
        return self.config.code_dim

    @property
    def can_encode(self) -> bool:
        """Whether the code of an output can be told."""
        return self.encoder is not None

    # ---- Learning

    @torch.inference_mode()
    def _require_room(self) -> None:
        """Raise UnpairedError if nothing is left of a picture on the way through a network."""
        side = self.config.patch_px
        try:
            picture = torch.zeros(1, self.config.input_channels, side, side)
            made = self.generator(picture, torch.zeros(1, self.code_dim))
            for judge in (self.encoder, *self.critics.values()):
                if judge is not None:
                    judge(made)
        except (RuntimeError, ValueError) as error:
            raise UnpairedError(
                f"bicyclegan: pictures of {side} px are too small for its networks; raise patch_px "
                "(--picture-px), or lower levels, encoder_blocks and critic_layers"
            ) from error

    def samples(self, packs: Sequence[Pack], *, seed: int, **_: Any) -> TranslationSamples:
        """Return pairs, and outputs of others for the variants that draw codes.

        Raises UnpairedError if their size is too small for the networks.
        """
        self._require_room()
        (pack,) = packs
        config = self.config
        about = {"seed": seed, "patch_px": config.patch_px, "flips": config.flips}
        return TranslationSamples(pack, with_other=self.variant.draws, **about)

    def phases(self) -> list[Phase]:
        config = self.config

        def adam(*networks: nn.Module | None) -> torch.optim.Optimizer:
            weights = [w for network in networks if network for w in network.parameters()]
            return torch.optim.Adam(
                weights, lr=config.learning_rate, betas=(0.5, 0.999), fused=True
            )

        # One optimizer for generator and encoder takes the steps of two, and so with critics.
        turns = {GENERATOR: adam(self.generator, self.encoder), CRITICS: adam(self.critics)}
        return [Phase("train", config.images_seen, turns, falls_in_second_half)]

    def memory_format(self, device: torch.device) -> torch.memory_format:
        """See `Method`."""
        # Within the U-Net maps are of 1 to 16 px, and weights a hundred times as large: processors
        # lose more by rearranging those at every step than they gain elsewhere.
        is_deep = self.config.generator == "unet"
        if device.type == "cpu" and is_deep:
            return torch.contiguous_format
        return super().memory_format(device)

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        signed = {key: to_signed(batch[key]) for key in self.sees if key in batch}
        if state.turn == CRITICS:
            return self._critics_loss(signed)
        code_shape = (self.config.code_dim,)
        streams = [path for path in (ENCODED, DRAWN) if path in self.critics]
        noise = {
            path: draw(state.generators(batch["sample"], path), code_shape) for path in streams
        }
        return self._generator_loss(signed, noise)

    def _generator_loss(
        self, seen: Mapping[str, Tensor], noise: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """noise: of every path, B x Z; of the encoded one it is added to the mean."""
        config, variant = self.config, self.variant
        codes, terms = {}, {}
        if variant.encodes:
            mean, log_variance = self.encoder(seen["output"])
            codes[ENCODED] = mean
            if variant.kl:
                codes[ENCODED] = mean + noise[ENCODED] * (log_variance / 2).exp()
                terms["kl"] = kl_to_normal(mean, log_variance)
        if variant.draws:
            codes[DRAWN] = noise[DRAWN]
        made = self._generated(seen["input"], codes)
        self._made = {path: picture.detach() for path, picture in made.items()}
        loss = 0.0
        for path, picture in made.items():
            terms[f"fooled {path}"] = _squared(_holding(self.critics[path])(picture), 1.0)
            loss = loss + terms[f"fooled {path}"]
        if variant.l1 is not None:
            terms["l1"] = l1_loss(made[variant.l1], seen["output"])
            loss = loss + config.l1_weight * terms["l1"]
        if variant.kl:
            loss = loss + config.kl_weight * terms["kl"]
        if variant.latent:
            learns = variant.encoder_learns_latent
            found, _ = (self.encoder if learns else _holding(self.encoder))(made[DRAWN])
            terms["latent"] = l1_loss(found, codes[DRAWN])
            loss = loss + config.latent_weight * terms["latent"]
        return {"loss": loss, **terms}

    def _generated(self, picture: Tensor, codes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs of all paths, by one pass of the generator."""
        given = self._seen_input(picture)
        together = torch.cat([given] * len(codes)), torch.cat(list(codes.values()))
        made = self.generator(*together)
        return dict(zip(codes, made.chunk(len(codes)), strict=True))

    def _critics_loss(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Judge what was made before the generator's step, as the authors' code does.

        The real output beside an encoded one is that of its pair; beside a drawn one, another's.
        """
        real = {ENCODED: "output", DRAWN: "other_output"}
        terms = {}
        for path, critic in self.critics.items():
            both = torch.cat([self._made[path], seen[real[path]]])
            judged = [scale.chunk(2) for scale in critic(both)]
            terms[f"critic {path}"] = _squared([made for made, _ in judged], 0.0) + _squared(
                [true for _, true in judged], 1.0
            )
        return {"loss": sum(terms.values()), **terms}

    # ---- Use

    def translate(self, picture: Tensor, code: Tensor) -> Tensor:
        """Return outputs in [0, 1] of B x 3 x H x W in [0, 1], by codes B x Z."""
        return from_signed(self.generator(self._seen_input(to_signed(picture)), code))

    def sampled(self, picture: Tensor, generators: list[Generator]) -> Tensor:
        """Return an output of 1 x 3 x H x W for every generator, which draws its code."""
        codes = draw(generators, (self.config.code_dim,)).to(picture.device)
        return self.translate(picture.expand(len(codes), -1, -1, -1), codes)

    def encode(self, output: Tensor) -> Tensor:
        """Return the mean code, B x Z, of outputs in [0, 1]; raises UnpairedError without E."""
        if self.encoder is None:
            raise UnpairedError(
                f"a model of the variant {self.config.variant} has no encoder, so it cannot take "
                "the style of a picture"
            )
        return self.encoder(to_signed(output))[0]

    def _seen_input(self, picture: Tensor) -> Tensor:
        """Return the input, gray where the settings say so."""
        if self.config.input_channels == 3:
            return picture
        weights = picture.new_tensor(GRAY).view(1, 3, 1, 1)
        return (picture * weights).sum(dim=1, keepdim=True)


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of N(mean, exp(log_variance)) from N(0, I), summed over all, B x Z."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()


def _squared(judged: Sequence[Tensor], wanted: float) -> Tensor:
    """Return the mean squared error of every scale, summed."""
    return sum(mse_loss(scale, torch.full_like(scale, wanted)) for scale in judged)


def _holding(network: nn.Module):
    """Return a network whose weights get no gradient; what it is given does."""
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    return lambda picture: functional_call(network, weights, (picture,))
