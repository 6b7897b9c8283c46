"""Which organization gets one of a process's send slots."""

import threading

import pytest

from apps.notifications.delivery.send_slots import SendSlots


def taken(send_slots, organization):
    count = 0
    while send_slots.begin(organization):
        count += 1
    return count


@pytest.mark.parametrize(("limit", "most"), [(10, 8), (5, 4), (2, 1), (1, 1)])
def test_one_alone_takes_all_but_those_that_are_kept_free(limit, most):
    send_slots = SendSlots(limit)
    assert taken(send_slots, "noisy") == most
    assert send_slots.begin("quiet") is (limit > 1)
    assert not send_slots.begin("noisy")


def test_several_share_what_there_is():
    send_slots = SendSlots(10)
    assert send_slots.begin("a")
    assert send_slots.begin("b")
    assert [taken(send_slots, one) for one in ("a", "b")] == [3, 3]
    # What is kept free is for organizations that have none yet.
    assert send_slots.begin("c")
    assert not send_slots.begin("c")
    assert send_slots.at_their_share() == ["a", "b", "c"]


def test_a_released_slot_is_free_for_the_next():
    send_slots = SendSlots(10)
    taken(send_slots, "noisy")
    send_slots.end("noisy")
    assert send_slots.begin("noisy")
    for _ in range(8):
        send_slots.end("noisy")
    assert not send_slots._sending


def test_an_organization_that_was_passed_over_comes_next():
    send_slots = SendSlots(5)
    taken(send_slots, "noisy")
    send_slots.pass_over("email", ["noisy"])
    assert send_slots.next_passed_over() is None
    send_slots.end("noisy")
    assert send_slots.next_passed_over() == ("email", "noisy")
    assert send_slots.next_passed_over() is None


def test_a_thread_that_is_started_during_a_join_runs(monkeypatch):
    """`join` while another thread calls `try_submit`: no slot is lost."""
    send_slots = SendSlots(2)
    done = []
    assert send_slots.try_submit(lambda: done.append(1))
    joined = threading.Thread(target=send_slots.join)
    real = send_slots._threads.submit

    def submit(*arguments):
        joined.start()
        joined.join(0.1)
        return real(*arguments)

    monkeypatch.setattr(send_slots._threads, "submit", submit)
    assert send_slots.try_submit(lambda: done.append(2))
    joined.join(10)
    assert done == [1, 2]
    assert send_slots.idle
