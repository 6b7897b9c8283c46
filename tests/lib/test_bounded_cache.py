"""A cache that is limited by the weight of its entries."""

from collections import Counter

from notifier.lib.bounded_cache import ENTRY_WEIGHT, BoundedCache

MOST = 10 * ENTRY_WEIGHT


def cache_and_calls():
    made = Counter()

    def make(name, weight):
        made[name] += 1
        return name.upper(), weight

    return BoundedCache(make, most=MOST), made


def test_a_value_is_made_once():
    cache, made = cache_and_calls()
    assert [cache("a", 0), cache("a", 0), cache("b", 0)] == ["A", "A", "B"]
    assert made == {"a": 1, "b": 1}


def test_the_least_recently_used_is_evicted():
    cache, made = cache_and_calls()
    for name in "abc":
        cache(name, 2 * ENTRY_WEIGHT)
    cache("a", 2 * ENTRY_WEIGHT)
    cache("d", 2 * ENTRY_WEIGHT)
    assert cache.weight <= MOST
    for name in "acd":
        cache(name, 2 * ENTRY_WEIGHT)
    cache("b", 2 * ENTRY_WEIGHT)
    assert made == {"a": 1, "b": 2, "c": 1, "d": 1}


def test_a_value_that_is_too_heavy_evicts_nothing():
    cache, made = cache_and_calls()
    cache("a", 0)
    assert [cache("huge", MOST), cache("huge", MOST), cache("a", 0)] == ["HUGE", "HUGE", "A"]
    assert made == {"a": 1, "huge": 2}


def test_every_entry_has_a_minimum_weight():
    cache, _ = cache_and_calls()
    for number in range(1000):
        cache(f"name {number}", 0)
    assert len(cache._entries) <= 10


def test_clear_resets_the_weight():
    cache, made = cache_and_calls()
    cache("a", 0)
    cache.clear()
    assert cache.weight == 0
    assert (cache("a", 0), made["a"]) == ("A", 2)
