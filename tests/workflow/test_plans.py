"""All tables and the report, planned at once: what only one of them asks for is asked here."""

from __future__ import annotations

import pytest

from unpaired import catalog

pytestmark = pytest.mark.workflow


@pytest.mark.long
def test_everything_at_demo_scale(project):
    assert_planned(project)


@pytest.mark.long
def test_everything_at_the_papers_scale(project, tmp_path):
    for dataset in catalog.datasets().values():
        if dataset.folder and not dataset.made_in:
            (tmp_path / dataset.folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / dataset.folder / "picture.png").write_bytes(
                b"To plan, it need only be there."
            )
    assert_planned(project, "--configfile", "config/paper.yaml", f"data_root={tmp_path}")


def assert_planned(project, *settings):
    files, more = settings[:2], settings[2:]
    done = project.run("-n", *files, "--config", "device=cpu", *more, "--", "results/report.html")
    assert done.returncode == 0, done.stderr
    assert "Write results/report.html" in done.stdout + done.stderr
