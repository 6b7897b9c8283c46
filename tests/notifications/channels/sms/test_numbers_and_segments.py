"""Phone numbers in one spelling, and the segments that a text is sent and paid in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.notifications.channels.sms.replies import refuses
from apps.users.recipient_hashes import hashes_of, recipient_hash
from notifier.channels.sms import PLACES, SMS, encoding, segments
from notifier.lib.masking import masked_number, masked_text
from notifier.lib.phone_numbers import comparable, spelled


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("+14155550123", "+14155550123"),
        ("+1 (415) 555-0123", "+14155550123"),
        ("  +33 6 12 34 56 78", "+33612345678"),
        ("+49\u00a0151\u00a023456789", "+4915123456789"),
        ("tel:+14155550123", "+14155550123"),
        ("+\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff12\uff13", "+14155550123"),
    ],
)
def test_every_spelling_is_one_number(given, number):
    assert spelled(given) == number
    assert recipient_hash("sms", given) == recipient_hash("sms", number)
    assert recipient_hash("sms", number) in hashes_of(given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("0612345678", "with + and its country's code"),
        ("hello", "with + and its country's code"),
        ("+", "with + and its country's code"),
        ("+999123456789", "with + and its country's code"),
        ("+1415555012", "too many or too few digits"),
        ("+141555501234567", "too many or too few digits"),
        ("+15550123", "too many or too few digits"),
        ("+4911111111111111", "too many or too few digits"),
        ("+14155550123 ext. 7", "extension"),
    ],
)
def test_what_is_no_number_says_how_one_is_written(given, sentence):
    with pytest.raises(ValueError, match=sentence.replace("+", r"\+")):
        spelled(given)
    assert comparable(f" {given} ").strip() == given


@given(st.text(max_size=40))
def test_any_text_can_be_looked_for(text):
    comparable(text)
    masked_number(text)
    masked_text(text)


GSM_PAIR = "€"


@pytest.mark.parametrize(
    ("text", "code", "count"),
    [
        ("", "GSM-7", 0),
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("a" * 306, "GSM-7", 2),
        ("a" * 307, "GSM-7", 3),
        (GSM_PAIR * 80, "GSM-7", 1),
        (GSM_PAIR * 81, "GSM-7", 2),
        # A pair is not split: the 153rd place stays empty.
        ("a" * 152 + GSM_PAIR + "a" * 151, "GSM-7", 2),
        ("a" * 152 + GSM_PAIR + "a" * 152, "GSM-7", 3),
        ("\n\r@£Ωß§¿à", "GSM-7", 1),
        ("ç", "UCS-2", 1),
        ("`", "UCS-2", 1),
        ("ê" * 70, "UCS-2", 1),
        ("ê" * 71, "UCS-2", 2),
        ("😀" * 35, "UCS-2", 1),
        ("😀" * 36, "UCS-2", 2),
        # 67 places hold 33 pairs.
        ("😀" * 66, "UCS-2", 2),
        ("😀" * 67, "UCS-2", 3),
    ],
)
def test_segments(text, code, count):
    assert (encoding(text), segments(text)) == (code, count)


@given(st.text(max_size=900))
def test_a_text_fits_into_its_segments_and_not_into_far_fewer(text):
    places = sum(
        (2 if char in "\f^{}\\[~]|€" else 1)
        if encoding(text) == "GSM-7"
        else len(char.encode("utf-16-le")) // 2
        for char in text
    )
    alone, joined = PLACES[encoding(text)]
    if places <= alone:
        assert segments(text) == bool(text)
    else:
        # At most one place of each segment stays empty.
        assert places <= segments(text) * joined
        assert segments(text) <= -(-places // (joined - 1))


def test_more_segments_than_can_be_sent_are_refused_by_name():
    assert SMS.too_much({"text": "a" * 1530}) is None
    part, sentence = SMS.too_much({"text": "a" * 1531})
    assert part == "text"
    assert "11 (GSM-7)" in sentence


@pytest.mark.parametrize(
    "text", ["STOP", "stop", " Stop. ", "«Arrêt»", "Stop all!", "UNSUBSCRIBE", "opt-out", "ｓｔｏｐ"]
)
def test_words_that_ask_for_no_more(text):
    assert refuses(text) is True


OTHERS = {
    "START": False, "unstop": False, "stop by at 5?": None, "": None, "don't stop": None, "ＹＥＳ": None, "👍": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "asks"), OTHERS.items())
def test_other_words(text, asks):
    assert refuses(text) is asks
