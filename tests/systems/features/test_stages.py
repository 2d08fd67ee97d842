"""The stage of scoring on what is given other models: fused detectors, features as a distance."""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from tests.systems.features.methods.test_rgbd import DETECTOR, ENCODERS
from tests.systems.features.things import TINY, labeled_pack
from tests.systems.perceptual.judged import triplet, write_judged_pack
from unpaired.learning.create import create
from unpaired.learning.weights import save_model
from unpaired.stages.evaluate import main, parser
from unpaired.systems.features.sources import drawn_rooms


def evaluated(tmp_path, task: str, method: str, noise: str, pack, needs: dict[str, str]) -> dict:
    """Score a product that has no weights, and return the record with the number of rows."""
    spec = {"method": method, "overrides": {}, "needs": {role: "an id" for role in needs}}
    command = ["--task", task, "--spec", json.dumps(spec), "--code", "0", "--noise", noise]
    command += ["--pack", str(pack.path), "--repeats", "1", "--device", "cpu"]
    command += ["--work", str(tmp_path / "work/score")]
    for role, name in needs.items():
        command += ["--need", f"{role}={tmp_path / name}"]
    outputs = {key: tmp_path / f"scores.{key}" for key in ("csv", "png", "json")}
    for option, suffix in (("output", "csv"), ("example", "png"), ("record", "json")):
        command += [f"--{option}", str(outputs[suffix])]
    main(parser().parse_args(command))
    rows = outputs["csv"].read_text().splitlines()
    return json.loads(outputs["json"].read_text()) | {"rows": rows}


def test_two_detectors_are_fused(tmp_path):
    pack = labeled_pack(
        tmp_path / "rooms.h5", itertools.islice(drawn_rooms.test_rooms(None), 4), "rooms"
    )
    torch.manual_seed(0)
    for name in ENCODERS:
        save_model(tmp_path / f"{name}.safetensors", name, create(name, **DETECTOR))
    needs = {"rgb": "rgb_detector.safetensors", "hha": "hha_detector.safetensors"}
    found = evaluated(tmp_path, "detect_rgbd", "rgb_d_detector", "rgb_d", pack, needs)
    assert set(found["pooled"]) == {"map_pct", "map_area_pct"}
    assert set(found["given"]) == {"rgb", "hha"}
    assert len(found["rows"]) == 5


def test_features_judge_which_patch_is_nearer(tmp_path):
    pack = write_judged_pack(
        tmp_path / "judged.h5", [triplet(number, 5, 60, 0.0) for number in range(3)]
    )
    torch.manual_seed(0)
    save_model(tmp_path / "encoder.safetensors", "cross_channel", create("cross_channel", **TINY))
    needs = {"encoder": "encoder.safetensors"}
    found = evaluated(tmp_path, "judge", "feature_distance", "none", pack, needs)
    header, *rows = (line.split(",") for line in found["rows"])
    agreed = [float(row[header.index("two_afc")]) for row in rows]
    assert agreed == pytest.approx([100.0] * 3)
