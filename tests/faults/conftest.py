"""Projects whose smoke runs are of one method: what is disturbed is the same for all."""

from __future__ import annotations

import pytest

from tests.workflow.conftest import Project, finish, make_copy

ONE_METHOD = ("methods=[neighbor2neighbor]",)


@pytest.fixture
def project(tmp_path) -> Project:
    """A fresh copy of the project without results."""
    return Project(make_copy(tmp_path / "a project"), ONE_METHOD)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A project with a finished run; tests must not change it."""
    return finish(Project(make_copy(tmp_path_factory.mktemp("finished") / "project"), ONE_METHOD))
