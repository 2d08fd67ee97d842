"""Parts of a long work: kept, found, dropped with another stamp."""

from __future__ import annotations

import numpy as np

from unpaired.core.kept_parts import KeptParts


def test_parts_are_found_again_under_the_same_stamp_alone(tmp_path):
    folder, arrays = tmp_path / "work.parts", {"a": np.arange(6.0).reshape(2, 3).T}
    KeptParts(folder, {"seed": 1}).put("one", arrays)
    again = KeptParts(folder, {"seed": 1})
    np.testing.assert_array_equal(again.get("one")["a"], arrays["a"])
    assert again.get("two") is None
    other = KeptParts(folder, {"seed": 2})
    assert other.get("one") is None
    other.drop()
    assert not folder.exists()


def test_a_damaged_part_is_made_again(tmp_path):
    parts = KeptParts(tmp_path / "work.parts", {})
    parts.put("one", {"a": np.ones(4)})
    (file,) = (tmp_path / "work.parts").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-3])
    assert parts.get("one") is None
