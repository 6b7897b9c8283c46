"""Fixtures of the tests of `apps.users`."""

import pytest

PASSWORD = "correct horse battery"


@pytest.fixture
def member(user):
    """Ada, who may sign in with PASSWORD."""
    user.set_password(PASSWORD)
    user.save()
    return user
