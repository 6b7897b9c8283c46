"""How many run at once, in all and for one key."""

import threading

import pytest

from notifier.lib.concurrency import Busy, ConcurrencyLimit


def test_a_key_has_its_limit_and_others_have_the_rest():
    limit = ConcurrencyLimit(total=2, each=1)
    with limit.slot("a", patience=0):
        with pytest.raises(Busy), limit.slot("a", patience=0):
            pass
        with limit.slot("b", patience=0), pytest.raises(Busy), limit.slot("c", patience=0):
            pass
    with limit.slot("a", patience=0), limit.slot("c", patience=0):
        pass
    assert not limit._running
    assert not limit._waiting


def test_one_of_a_key_waits_and_the_next_is_refused():
    limit = ConcurrencyLimit(total=2, each=1)
    got = threading.Event()

    def wait():
        with limit.slot("a", patience=10):
            got.set()

    with limit.slot("a", patience=0):
        waiting = threading.Thread(target=wait)
        waiting.start()
        while not limit._waiting:
            pass
        with pytest.raises(Busy), limit.slot("a", patience=10):
            pass
        assert not got.is_set()
    waiting.join(10)
    assert got.is_set()
