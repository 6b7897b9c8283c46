"""What a process keeps is bounded by its weight."""

from collections import Counter

from notifier.lib.bounded_cache import ENTRY_WEIGHT, BoundedCache

MOST = 10 * ENTRY_WEIGHT


def kept():
    made = Counter()

    def make(name, weight):
        made[name] += 1
        return name.upper(), weight

    return BoundedCache(make, most=MOST), made


def test_it_is_made_once():
    cache, made = kept()
    assert [cache("a", 0), cache("a", 0), cache("b", 0)] == ["A", "A", "B"]
    assert made == {"a": 1, "b": 1}


def test_what_was_unused_for_longest_makes_room():
    cache, made = kept()
    for name in "abc":
        cache(name, 2 * ENTRY_WEIGHT)
    cache("a", 2 * ENTRY_WEIGHT)
    cache("d", 2 * ENTRY_WEIGHT)
    assert cache.weight <= MOST
    for name in "acd":
        cache(name, 2 * ENTRY_WEIGHT)
    cache("b", 2 * ENTRY_WEIGHT)
    assert made == {"a": 1, "b": 2, "c": 1, "d": 1}


def test_what_is_too_heavy_pushes_nothing_out():
    cache, made = kept()
    cache("a", 0)
    assert [cache("huge", MOST), cache("huge", MOST), cache("a", 0)] == ["HUGE", "HUGE", "A"]
    assert made == {"a": 1, "huge": 2}


def test_the_lightest_weigh_something():
    cache, _ = kept()
    for number in range(1000):
        cache(f"name {number}", 0)
    assert len(cache._held) <= 10


def test_forgotten_it_weighs_nothing():
    cache, made = kept()
    cache("a", 0)
    cache.forget()
    assert cache.weight == 0
    assert (cache("a", 0), made["a"]) == ("A", 2)
