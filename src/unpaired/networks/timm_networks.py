"""Networks of the library timm by name: classifiers, and what they compute on the way.

timm is imported where one is asked for: that takes a second, which nothing else needs to wait.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unpaired.core.errors import UnpairedError, one_line
from unpaired.networks import efficientnet_lite
from unpaired.networks.foreign_weights import read_tensors

NEAR = 5
REASON_MAX = 200  # characters
# Networks of one input size are asked to take others: vision transformers with interpolated
# positions and padding, Swin transformers with other windows. What knows neither keeps its size.
ANY_SIZE = ({"dynamic_img_size": True, "dynamic_img_pad": True}, {"strict_img_size": False})


def is_name(name: str) -> bool:
    """Tell whether timm has a network of this name, with or without the tag of its weights."""
    import timm

    try:
        return timm.is_model(name) and timm.models.get_pretrained_cfg(name) is not None
    except RuntimeError:  # A tag that the network does not have.
        return False


def names_near(name: str) -> list[str]:
    """Return a few names of timm's that may have been meant, perhaps none."""
    import timm

    architecture, _, tag = name.rpartition("/")[2].partition(".")
    if tag and timm.is_model(architecture):
        return timm.list_pretrained(f"{architecture}.*")[:NEAR]
    known = timm.list_models() if architecture else []
    similar = difflib.get_close_matches(architecture, known, NEAR)
    return similar or [one for one in known if architecture in one][:NEAR]


def load_classifier(name: str, weights: Path | None = None) -> nn.Module:
    """Return a whole network, in training mode as timm makes it.

    weights: a file of all its tensors, safetensors or PyTorch's, with any number of classes;
    timm's own weights without it, from its cache or the hub, but those of EfficientNet-Lite0 from
    its package where that is installed.

    Raises UnpairedError for unknown names, weights that do not fit or are not finite, and if timm's
    own cannot be had.
    """
    check_name(name)
    if weights is None and name == efficientnet_lite.NAME:
        weights = efficientnet_lite.installed_weights()
    return _own(name) if weights is None else _from_file(name, Path(weights))


def build_features(name: str, **options: Any) -> nn.Module:
    """Return a network that gives a list of features, with timm's random weights.

    Its ``feature_info`` says what they are. Pictures may have other sizes than those it was trained
    on, where timm allows that. options: more of ``timm.create_model``.

    Raises UnpairedError for unknown names and for networks without such an interface.
    """
    check_name(name)
    try:
        return _create_of_any_size(name, features_only=True, **options)
    except RuntimeError as error:
        raise UnpairedError(f"timm gives no features of '{name}' ({reason_of(error)})") from None


def load_features(name: str, weights: Path | None = None) -> nn.Module:
    """Return `build_features` with the weights, and the errors, of `load_classifier`."""
    # timm drops what lies behind the features only after it has loaded a whole network's weights.
    tensors = load_classifier(name, weights).state_dict()
    overlay = {"state_dict": tensors}
    with _without_warnings():  # Of the tensors that are dropped.
        features = build_features(name, pretrained=True, pretrained_cfg_overlay=overlay)
    features.pretrained_cfg.pop("state_dict", None)  # A second copy.
    return features


def check_name(name: str) -> None:
    """Raise UnpairedError, with names near it, unless timm has a network of this name."""
    if not is_name(name):
        near = names_near(name)
        hint = f"near it: {', '.join(near)}" if near else "timm.list_models() lists all"
        raise UnpairedError(f"timm has no model '{name}'; {hint}")


@contextmanager
def _without_warnings(library: str = "timm") -> Iterator[None]:
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _create_of_any_size(name: str, **options: Any) -> nn.Module:
    import timm

    for size in ANY_SIZE if timm.models.get_pretrained_cfg(name).fixed_input_size else ():
        try:
            return timm.create_model(name, **size, **options)
        except TypeError:  # An option that this network does not know.
            continue
    return timm.create_model(name, **options)


def _own(name: str) -> nn.Module:
    import timm

    try:
        with _without_warnings("huggingface_hub"):  # A dozen lines of retries without a network.
            return timm.create_model(name, pretrained=True)
    except Exception as error:  # Of the network, of the hub, or "no weights": many types.
        raise UnpairedError(
            f"timm's weights of '{name}' cannot be had ({reason_of(error)}); name a file of them "
            "(--weights)"
        ) from None


def _from_file(name: str, path: Path) -> nn.Module:
    import timm

    tensors = efficientnet_lite.in_timms_words(read_tensors(path))
    if broken := [key for key, value in tensors.items() if not torch.isfinite(value).all()]:
        raise UnpairedError(f"{path}: numbers that are not finite in {broken[0]}")
    classes = _classes_in(tensors, timm.models.get_pretrained_cfg(name))
    overlay = {"state_dict": tensors, "num_classes": classes, "label_offset": 0}
    try:
        network = timm.create_model(
            name, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay
        )
    except Exception as error:  # timm first rewrites old layouts, and trips over foreign ones.
        raise UnpairedError(f"{path}: not the weights of '{name}' ({reason_of(error)})") from None
    network.pretrained_cfg.pop("state_dict", None)
    return network


def _classes_in(tensors: Mapping[str, Tensor], config: Any) -> int:
    """Return for how many classes weights are, from their last layer; timm's number without it."""
    last = config.classifier
    last = last if isinstance(last, str) or not last else last[0]
    weight = tensors.get(f"{last}.weight")
    return config.num_classes if weight is None else len(weight)


def reason_of(error: Exception) -> str:
    return one_line(error)[:REASON_MAX] or type(error).__name__
