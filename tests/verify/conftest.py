"""Fixtures of the tests that need other programs than the services."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/verify/" in str(item.path):
            item.add_marker(pytest.mark.verify)
            item.add_marker(pytest.mark.timeout(600))
