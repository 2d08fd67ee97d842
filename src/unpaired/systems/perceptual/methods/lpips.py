"""LPIPS learned from judgments of which of two pictures is closer to a reference.

Zhang 2018, section 6.4; where the text leaves something open, the authors' code is followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.core.randomness import seed_for
from unpaired.data.packs import Pack
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.metrics.perceptual import LPIPS
from unpaired.networks.feature_networks import (
    NETWORKS,
    FeatureNetwork,
    build,
    build_seeded,
    load_pretrained,
)
from unpaired.networks.kmeans_init import initialize_from_patches
from unpaired.systems.perceptual.samples import JudgedSamples

STARTS = ("random", "torchvision", "kmeans", "supervised")
KMEANS_PICTURES = 1000
FORMS = ("unweighted", "published", "lin", "tune", "scratch")
UNTRAINED = FORMS[:2]
TRIPLETS = 56_600 + 38_100 + 56_600  # of the training sets traditional, cnn and mix
EPOCHS = 10
RATIO_EPS = 0.1  # added to distances that are divided by


@dataclass(frozen=True, kw_only=True)
class LPIPSConfig:
    """Settings of a learned distance.

    net, width: the feature network, see `feature_networks.build`. form: lin trains the channels'
    weights alone, tune and scratch the network as well (from given weights or from random ones),
    unweighted nothing, and published is for weights that others have learned. start: what the
    network is at first, unless it is another model's, see `starting_network`; kmeans takes the
    training pictures. The thesis starts scratch from Gaussian weights, the authors' code, which
    made the printed numbers, from torchvision's. version: of the input's scaling, see `LPIPS`.
    dropout: in the weighted sum. rank_width: of the network that turns two distances into a vote.
    images_seen: triplets.
    """

    net: str = "alex"
    width: float = 1.0
    form: str = "lin"
    start: str = "random"
    version: str = "0.1"
    dropout: ShareBelowOne = 0.5
    rank_width: int = 32
    images_seen: int = EPOCHS * TRIPLETS
    batch_size: int = 50
    patch_px: int = 64
    learning_rate: PositiveNumber = 1e-4

    def __post_init__(self) -> None:
        check_choice("lpips", "form", self.form, FORMS)
        check_choice("lpips", "start", self.start, STARTS)
        if self.start in ("torchvision", "kmeans") and self.net not in NETWORKS:
            raise UnpairedError(f"lpips: start '{self.start}' is for {', '.join(NETWORKS)} alone")


class RankNetwork(nn.Module):
    """G: the probability, as a logit, that the second picture is found closer, of two distances.

    It is given d0, d1, d0 - d1, d0 / (d1 + 0.1) and d1 / (d0 + 0.1). The thesis names ReLU; the
    authors' code has leaky ones of slope 0.2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(5, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return N logits of N and N distances."""
        ratios = first / (second + RATIO_EPS), second / (first + RATIO_EPS)
        return self.layers(torch.stack([first, second, first - second, *ratios], dim=1))[:, 0]


class LPIPSTraining(Method):
    """Cross-entropy between the ranking network's vote and the share of votes for the second.

    Weights of channels are kept from being negative; those of the feature network are not touched
    by that, and in the form ``lin`` by nothing at all. The product is ``distance``.

    The batch's ``judge`` is the share, in [0, 1], of votes that found ``second`` closer to
    ``reference`` than ``first``.
    """

    Config: ClassVar[type] = LPIPSConfig
    sees: ClassVar[tuple[str, ...]] = ("reference", "first", "second", "judge")
    multiple_px: ClassVar[int] = 1
    config: LPIPSConfig

    def __init__(self, config: LPIPSConfig) -> None:
        super().__init__(config)
        self.metric = LPIPS(
            build(config.net, config.width),
            learned=config.form != "unweighted",
            version=config.version,
            dropout=config.dropout,
        )
        self.metric.network.requires_grad_(self._trains_network)
        if config.form not in UNTRAINED:
            self.rank = RankNetwork(config.rank_width)
        self.train()

    @property
    def _trains_network(self) -> bool:
        return self.config.form in ("tune", "scratch")

    def prepare(self, samples: Any, seed: int) -> None:
        """Initialize the feature network as the settings say; "kmeans" looks at references."""
        pictures = None
        if self.config.start == "kmeans":
            count = min(len(samples), KMEANS_PICTURES)
            pictures = torch.stack([samples[number]["reference"] for number in range(count)])
        self.start_from(starting_network(self.config.start, self.config, pictures, seed))

    def start_from(self, other: LPIPSTraining | FeatureNetwork) -> None:
        """Take the weights of a feature network, or another model's, of the same kind and width.

        Raises UnpairedError if it is another.
        """
        network = other if isinstance(other, FeatureNetwork) else other.metric.network
        ours = {name: value.shape for name, value in self.metric.network.state_dict().items()}
        given = network.state_dict()
        if ours != {name: value.shape for name, value in given.items()}:
            raise UnpairedError(
                f"the feature network to start from is not '{self.config.net}' of width "
                f"{self.config.width:g}; set net and width to its own"
            )
        self.metric.network.load_state_dict(given)

    def train(self, mode: bool = True) -> LPIPSTraining:
        """Set training mode; a network that is not trained stays in evaluation mode."""
        super().train(mode)
        if not self._trains_network:
            self.metric.network.eval()
        return self

    def samples(self, packs: Sequence[Pack], *, seed: int, **_: Any) -> JudgedSamples:
        if self.config.form == "published":
            raise UnpairedError("lpips: form 'published' learns nothing here; import its weights")
        return JudgedSamples(*packs, seed=seed)

    def timing_batch(self, device: torch.device) -> dict[str, Tensor]:
        return super().timing_batch(device) | {"judge": torch.tensor([0.5], device=device)}

    def phases(self) -> list[Phase]:
        if self.config.form in UNTRAINED:
            return []
        optimizer = torch.optim.Adam(
            [parameter for parameter in self.parameters() if parameter.requires_grad],
            lr=self.config.learning_rate,
            betas=(0.5, 0.999),
            fused=True,
        )
        return [Phase("train", self.config.images_seen, optimizer, five_flat_five_falling_epochs)]

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        first, second = self.metric.distances_unchecked(
            batch["reference"], batch["first"], batch["second"]
        )
        judge = batch["judge"].to(first.dtype).reshape(-1)
        with torch.autocast(first.device.type, enabled=False):
            loss = functional.binary_cross_entropy_with_logits(self.rank(first, second), judge)
        agreement = torch.where(first < second, 1 - judge, judge)
        agreement = torch.where(first == second, 0.5, agreement)
        return {"loss": loss, "agreement": agreement.mean()}

    def after_step(self) -> None:
        self.metric.project()

    def distances(self, reference: Tensor, *others: Tensor) -> list[Tensor]:
        """Return the distances, N each, of a reference to others, as `LPIPS.distances` does."""
        return self.metric.distances(reference, *others)

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distances, N, of N x C x H x W and N x C x H x W in [0, 1], without dropout.

        Raises UnpairedError as `LPIPS` does.
        """
        was_training = self.training
        self.eval()
        with torch.inference_mode():
            found = self.metric(first, second)
        self.train(was_training)
        return found


def five_flat_five_falling_epochs(fraction: float) -> float:
    """Return the factor on the learning rate: five epochs of 1, five falling linearly to 0.

    The authors lower it at the end of epochs six to ten: the sixth has 1 as well, the last 0.2.
    """
    epoch = min(int(fraction * EPOCHS + 1e-9), EPOCHS - 1)
    return 1.0 - max(0, epoch - 5) / 5


def starting_network(
    start: str | Path, config: LPIPSConfig, pictures: Tensor | None = None, seed: int = 0
) -> FeatureNetwork:
    """Return the feature network that a distance is computed with or trained from.

    start: "random" (Gaussian) or "torchvision", see `build_seeded`; "kmeans", stacked k-means of
    patches of ``pictures`` (N x 3 x H x W in [0, 1]); "supervised", the weights that
    `load_pretrained` finds; or a file, a model of this project that has such a network or weights
    that `load_pretrained` reads.

    Raises UnpairedError for missing files and pictures, and for models without such a network.
    """
    if start == "supervised":
        return load_pretrained(config.net)
    if start in ("random", "torchvision", "kmeans"):
        of_network = seed_for(seed, "feature network", config.net)
        network = build_seeded(
            config.net, config.width, of_network, as_torchvision=start == "torchvision"
        )
        if start == "kmeans":
            if pictures is None:
                raise UnpairedError("k-means needs pictures to take patches from")
            given = LPIPS(network, learned=False, version=config.version).standardized(pictures)
            initialize_from_patches(network, given, seed, config.net)
        return network
    if Path(start).suffix not in (".pth", ".safetensors"):
        raise UnpairedError(
            f"no such start of a feature network: {start}; there are {', '.join(STARTS)} "
            "and files (.safetensors, .pth)"
        )
    return _network_in(Path(start), config)


def _network_in(path: Path, config: LPIPSConfig) -> FeatureNetwork:
    """Return the feature network of one of our models, or with the weights of a foreign file."""
    from unpaired.learning.weights import is_model, load_model  # Imports the list of methods.

    if not is_model(path):
        return load_pretrained(config.net, path)
    name, method = load_model(path)
    network = getattr(getattr(method, "metric", None), "network", None)
    if not isinstance(network, FeatureNetwork):
        raise UnpairedError(f"{path}: a model of '{name}', which has no feature network")
    return network.to(memory_format=torch.contiguous_format)
