"""Whose message may go on the wire, of a process's places."""

import threading

import pytest

from apps.notifications.delivery.send_slots import Wires


def taken(wires, organization):
    count = 0
    while wires.begin(organization):
        count += 1
    return count


@pytest.mark.parametrize(("limit", "most"), [(10, 8), (5, 4), (2, 1), (1, 1)])
def test_one_alone_takes_all_but_those_that_are_kept_free(limit, most):
    wires = Wires(limit)
    assert taken(wires, "noisy") == most
    assert wires.begin("quiet") is (limit > 1)
    assert not wires.begin("noisy")


def test_several_share_what_there_is():
    wires = Wires(10)
    assert wires.begin("a")
    assert wires.begin("b")
    assert [taken(wires, one) for one in ("a", "b")] == [3, 3]
    # What is kept is for whoever has nothing yet.
    assert wires.begin("c")
    assert not wires.begin("c")
    assert wires.at_their_part() == ["a", "b", "c"]


def test_a_place_that_is_given_back_is_there_for_the_next():
    wires = Wires(10)
    taken(wires, "noisy")
    wires.end("noisy")
    assert wires.begin("noisy")
    for _ in range(8):
        wires.end("noisy")
    assert not wires._sending


def test_who_was_passed_over_is_come_back_to_in_turn():
    wires = Wires(5)
    taken(wires, "noisy")
    wires.pass_over("email", ["noisy"])
    assert wires.next_passed_over() is None
    wires.end("noisy")
    assert wires.next_passed_over() == ("email", "noisy")
    assert wires.next_passed_over() is None


def test_a_loan_that_meets_the_end_of_the_threads_starts_anew(monkeypatch):
    """Of `join` while another thread lends: no slot is lost."""
    wires = Wires(2)
    done = []
    assert wires.lend(lambda: done.append(1))
    joined = threading.Thread(target=wires.join)
    real = wires._threads.submit

    def submit(*words):
        joined.start()
        joined.join(0.1)
        return real(*words)

    monkeypatch.setattr(wires._threads, "submit", submit)
    assert wires.lend(lambda: done.append(2))
    joined.join(10)
    assert done == [1, 2]
    assert wires.idle
