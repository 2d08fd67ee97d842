"""Linear classifiers on features in files: sizes, normalization, and an independent library."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from unpaired.core.errors import UnpairedError
from unpaired.systems.features import probing
from unpaired.systems.features.probing import (
    FeatureFiles,
    Rows,
    compute_features,
    fit_linear,
    resized,
)

PENALTY = 1e-3


@pytest.mark.parametrize(
    ("channels", "side", "numbers"),
    [(96, 55, 9600), (256, 27, 9216), (384, 13, 9600), (256, 13, 9216)],
)
def test_layers_become_as_many_numbers_as_in_table_53(channels, side, numbers):
    assert resized(torch.zeros(1, channels, side, side), 9000).shape == (1, numbers)


def files_of(values: torch.Tensor, folder) -> FeatureFiles:
    files = FeatureFiles(folder, len(values))
    for start in range(0, len(values), 70):
        files.append({"one": values[start : start + 70]})
    return files


@pytest.fixture
def problem(tmp_path, monkeypatch):
    """Features of three classes that overlap, with means and scales of their own; small blocks."""
    monkeypatch.setattr(probing, "BLOCK", 64)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 900)
    scales, means = rng.uniform(0.1, 10, 20), rng.uniform(-5, 5, 20)
    values = (rng.standard_normal((900, 20)) + 0.8 * np.eye(3, 20)[labels]) * scales + means
    values = torch.from_numpy(values).half().float()
    learned, left = slice(0, 600), slice(600, 900)
    files = files_of(values[learned], tmp_path)
    return files, values, torch.from_numpy(labels), learned, left


def test_it_is_logistic_regression_on_normalized_features(problem):
    """scikit-learn minimizes C times the sum of errors plus half the square of the weights."""
    files, values, labels, learned, left = problem
    found = fit_linear(files, "one", labels[learned], 3, penalty=PENALTY, iterations=300)
    scaler = StandardScaler().fit(values[learned].double().numpy())
    library = LogisticRegression(C=1 / (2 * PENALTY * 600), tol=1e-8, max_iter=2000)
    library.fit(scaler.transform(values[learned].double().numpy()), labels[learned].numpy())
    theirs = library.predict_proba(scaler.transform(values[left].double().numpy()))
    ours = torch.softmax(found.logits(values[left]), dim=1).numpy()
    np.testing.assert_allclose(ours, theirs, atol=5e-3)
    assert 0.5 < (ours.argmax(1) == labels[left].numpy()).mean() < 0.95


def test_scale_and_place_of_features_do_not_matter(problem, tmp_path):
    files, values, labels, learned, _ = problem
    how = {"penalty": PENALTY, "iterations": 50}
    (tmp_path / "other").mkdir()
    other = files_of(4 * values[learned] + 8, tmp_path / "other")
    first = fit_linear(files, "one", labels[learned], 3, **how).logits(values[learned])
    second = fit_linear(other, "one", labels[learned], 3, **how).logits(4 * values[learned] + 8)
    assert (first.argmax(1) == second.argmax(1)).float().mean() > 0.99


def test_a_feature_that_never_changes_is_no_trouble(tmp_path):
    values = torch.cat([torch.tensor([[0.0], [1.0]] * 10), torch.zeros(20, 1)], dim=1)
    labels = torch.tensor([0, 1] * 10)
    found = fit_linear(files_of(values, tmp_path), "one", labels, 2, penalty=1e-3, iterations=20)
    assert torch.isfinite(found.weight).all()
    assert torch.equal(found.logits(values).argmax(1), labels)


def test_rows_are_those_that_were_named(problem):
    files, values, *_ = problem
    numbers = np.random.default_rng(1).permutation(600)[:130]
    blocks = list(Rows(files, numbers).blocks("one"))
    assert [place.stop - place.start for place, _ in blocks] == [64, 64, 2]
    assert torch.equal(torch.cat([block for _, block in blocks]), values[numbers])


def test_features_are_computed_once_and_kept_in_order(tmp_path):
    asked = []

    def encode(pictures):
        asked.append(len(pictures))
        return {"one": pictures.mean(dim=1, keepdim=True)}

    pictures = torch.rand(5, 3, 4, 4)
    files = FeatureFiles(tmp_path, 5)
    compute_features(encode, [pictures[:3], pictures[3:]], files, numbers=16)
    assert asked == [3, 2]
    ((_, block),) = files.blocks("one")
    torch.testing.assert_close(block, pictures.mean(1).flatten(1), atol=1e-3, rtol=1e-3)


def test_what_a_half_float_cannot_hold_is_told(tmp_path):
    with pytest.raises(UnpairedError, match="no half float can hold"):
        FeatureFiles(tmp_path, 1).append({"one": torch.tensor([[1e6]])})
