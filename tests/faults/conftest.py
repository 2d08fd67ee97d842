from tests.workflow.conftest import finished, project

__all__ = ["finished", "project"]
