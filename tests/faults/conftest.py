from __future__ import annotations

import pytest

from tests.workflow.conftest import finished, project

__all__ = ["finished", "project"]


@pytest.fixture(scope="session")
def smoke_settings() -> tuple[str, ...]:
    """One method: what is disturbed is the same for all."""
    return ("methods=[neighbor2neighbor]",)
