"""The notebook of the documentation runs from its first cell to its last."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "denoise.ipynb"
# A reader gives it more time than a test, which looks at what the cells do.
MINUTES = {"minutes=1": "minutes=0.4", "minutes=0.5": "minutes=0.3"}


@pytest.mark.long
def test_the_notebook_runs(tmp_path):
    text = NOTEBOOK.read_text(encoding="utf-8")
    for of_a_reader, of_the_test in MINUTES.items():
        assert of_a_reader in text
        text = text.replace(of_a_reader, of_the_test)
    notebook = nbformat.reads(text, as_version=4)
    NotebookClient(notebook, timeout=500, resources={"metadata": {"path": tmp_path}}).execute()
    printed = [
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream"
    ]
    assert any("dB after" in text for text in printed)
