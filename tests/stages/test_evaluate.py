"""A scoring that is killed goes on where it was, and leaves nothing behind at its end."""

from __future__ import annotations

import json

import pytest

from tests.systems.few_shot.portraits import portrait_pack
from tests.systems.transmission import tiny
from unpaired.learning.weights import save_model
from unpaired.stages.evaluate import main, parser
from unpaired.systems.transmission.methods.deepjscc import DeepJSCC


def test_a_killed_scoring_resumes_by_batch(tmp_path, monkeypatch):
    pack = portrait_pack(tmp_path / "pack.h5", range(10), "portraits")
    save_model(tmp_path / "codec.safetensors", "deepjscc", tiny.codec())
    save_model(tmp_path / "features.safetensors", "portrait_features", tiny.features())
    command = ["--model", str(tmp_path / "codec.safetensors"), "--task", "transmit"]
    command += ["--spec", json.dumps({"method": "deepjscc"}), "--code", "0", "--noise", "snr_5"]
    command += ["--pack", str(pack.path), "--with", f"features={tmp_path}/features.safetensors"]
    command += ["--repeats", "1", "--work", str(tmp_path / "work/score"), "--device", "cpu"]
    outputs = {key: tmp_path / f"scores.{key}" for key in ("csv", "png", "json")}
    for option, suffix in (("output", "csv"), ("example", "png"), ("record", "json")):
        command += [f"--{option}", str(outputs[suffix])]
    monkeypatch.setattr(DeepJSCC, "pictures_at_once", 4)
    send, sent = DeepJSCC.send, []

    def dying(self, picture, channel):
        if len(sent) == 2:
            raise KeyboardInterrupt
        sent.append(tuple(channel.names))
        return send(self, picture, channel)

    monkeypatch.setattr(DeepJSCC, "send", dying)
    with pytest.raises(KeyboardInterrupt):
        main(parser().parse_args(command))
    parts = tmp_path / "work/score.parts"
    assert len(list(parts.glob("*.safetensors"))) == 2
    assert not any(path.exists() for path in outputs.values())

    resumed = []

    def counting(self, picture, channel):
        resumed.extend(channel.names)
        return send(self, picture, channel)

    monkeypatch.setattr(DeepJSCC, "send", counting)
    main(parser().parse_args(command))
    assert resumed == list(pack.columns["name"])[8:]
    assert all(path.exists() for path in outputs.values())
    assert not parts.exists()
    whole = outputs["csv"].read_text().splitlines()
    assert len(whole) == 11
    assert json.loads(outputs["json"].read_text())["pooled"]["lpips"] == "no weights"
