"""Valid email addresses; one mailbox has one canonical spelling and one hash."""

import pytest
from anymail.utils import parse_single_address
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as some

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.email.mime import Envelope
from apps.users.recipient_hashes import former_hashes, recipient_hash
from notifier.channels.email import EMAIL
from notifier.configuration.logging import mask
from notifier.lib import email_addresses
from notifier.lib.email_addresses import InvalidAddress, comparable, sender, spelled, tidied
from notifier.lib.masking import masked_text

ATEXT = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+/=?^_`{|}~-"
labels = some.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9-]{0,8}[A-Za-z0-9])?\Z")
plain_domains = some.lists(labels, min_size=1, max_size=3).map(".".join)
idns = some.sampled_from(
    ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "例え.テスト", "faß.example", "ｅxample.com",
     "exam。com", "пример.рф", "münchen.bücher.example", "café.example", "cafe\u0301.example",
     "xn--mgbh0fb.xn--kgbechtv"]
)  # fmt: skip
locals_ = some.text(ATEXT + ".", min_size=1, max_size=20) | some.text(
    some.characters(codec="utf-8"), min_size=1, max_size=12
)
quoted = some.text(some.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
addresses = some.tuples(
    locals_ | quoted, plain_domains.map(lambda name: f"{name}.com") | plain_domains | idns
).map("@".join) | some.text(some.characters(codec="utf-8"), max_size=40)
PATIENTLY = settings(suppress_health_check=[HealthCheck.filter_too_much])
"""Most of what can be written is no address, and by chance nearly all of a run's first texts."""


def hashed(address):
    return recipient_hash(EMAIL.code, address)


def taken(address):
    try:
        return spelled(address)
    except InvalidAddress:
        return None


# What well-known collections and the RFCs' own examples call good, in our one spelling.
GOOD = {
    "simple@example.com": "simple@example.com",
    "very.common@example.com": "very.common@example.com",
    "x@example.com": "x@example.com",
    "long.email-address-with-hyphens@and.subdomains.example.com":
        "long.email-address-with-hyphens@and.subdomains.example.com",
    "user.name+tag+sorting@example.com": "user.name+tag+sorting@example.com",
    "name/surname@example.com": "name/surname@example.com",
    "!#$%&'*+-/=?^_`{|}~@example.org": "!#$%&'*+-/=?^_`{|}~@example.org",
    "mailhost!username@example.org": "mailhost!username@example.org",
    "user%example.com@example.org": "user%example.com@example.org",
    "user-@example.org": "user-@example.org",
    "123@iana.org": "123@iana.org",
    "test@123.com": "test@123.com",
    "test@iana.123.org": "test@iana.123.org",
    "test@mason-dixon.com": "test@mason-dixon.com",
    "test@about.museum": "test@about.museum",
    "a" * 64 + "@iana.org": "a" * 64 + "@iana.org",
    "test@" + "a" * 63 + ".org": "test@" + "a" * 63 + ".org",
    # Quotes where they are needed, and not where they aren't.
    '" "@example.org': '" "@example.org',
    '"john..doe"@example.org': '"john..doe"@example.org',
    '"a<b"@example.com': '"a<b"@example.com',
    '"Abc@def"@example.com': '"Abc@def"@example.com',
    '"Fred Bloggs"@example.com': '"Fred Bloggs"@example.com',
    '"Joe.\\\\Blow"@example.com': '"Joe.\\\\Blow"@example.com',
    '"test\\"blah"@example.com': '"test\\"blah"@example.com',
    '"very.(),:;<>[]\\".VERY.\\"very@\\\\ \\"very\\".unusual"@strange.example.com':
        '"very.(),:;<>[]\\".VERY.\\"very@\\\\ \\"very\\".unusual"@strange.example.com',
    '"sup3"@example.com': "sup3@example.com",
    '"test"@iana.org': "test@iana.org",
    '"\\a"@iana.org': "a@iana.org",
    '"a.b"@example.com': "a.b@example.com",
    '"INFO"@example.com': "INFO@example.com",
    # Literals.
    "jsmith@[192.168.2.1]": "jsmith@[192.168.2.1]",
    "jsmith@[IPv6:2001:db8::1]": "jsmith@[IPv6:2001:db8::1]",
    "jsmith@[ipv6:2001:0DB8:0:0::1]": "jsmith@[IPv6:2001:db8::1]",
    "test@[IPv6:1111:2222:3333:4444:5555:6666:7777:8888]": "test@[IPv6:1111:2222:3333:4444:5555:6666:7777:8888]",
    "test@[IPv6:::255.255.255.255]": "test@[IPv6:::ffff:ffff]",
    # Domains in any alphabet.
    "kim@bücher.example": "kim@xn--bcher-kva.example",
    "kim@XN--BCHER-KVA.example": "kim@xn--bcher-kva.example",
    "kim@BÜCHER.Example": "kim@xn--bcher-kva.example",
    "kim@faß.de": "kim@xn--fa-hia.de",
    "kim@ｅｘａｍｐｌｅ.com": "kim@example.com",
    "kim@example。com": "kim@example.com",
    "INFO@bücher.example": "INFO@xn--bcher-kva.example",
    "jeff@臺網中心.tw": "jeff@xn--fiqq24b10vi0d.tw",
    "test@xn--hxajbheg2az3al.xn--jxalpdlp": "test@xn--hxajbheg2az3al.xn--jxalpdlp",
    # And local parts (RFC 6531).
    "Pelé@example.com": "Pelé@example.com",
    "pele\u0301@example.com": "pelé@example.com",
    "δοκιμή@παράδειγμα.δοκιμή": "δοκιμή@xn--hxajbheg2az3al.xn--jxalpdlp",
    "我買@屋企.香港": "我買@xn--hoqu73a.xn--j6w193g",
    "二ノ宮@黒川.日本": "二ノ宮@xn--5rtw95l.xn--wgv71a",
    "медведь@с-балалайкой.рф": "медведь@xn----8sbaac5cahfb0b0a.xn--p1ai",
    "संपर्क@डाटामेल.भारत": "संपर्क@xn--c2bd4bq1db8d.xn--h2brj9c",
    "квіточка@пошта.укр": "квіточка@xn--80a1acn3a.xn--j1amh",
    "Dörte@Sörensen.example.com": "Dörte@xn--srensen-90a.example.com",
    "葉士豪@example.com": "葉士豪@example.com",
    "kim@localhost": "kim@localhost",
    # A joiner where the script needs it.
    "kim@نامه\u200cای.com": "kim@xn--mgba3gch31f060k.com",
    "kim@xn--mgba3gch31f060k.com": "kim@xn--mgba3gch31f060k.com",
    "kim@ශ්\u200dරී.com": "kim@xn--10cl1a0b660p.com",
    "kim@XN--10CL1A0B660P.com": "kim@xn--10cl1a0b660p.com",
}  # fmt: skip

BAD = [
    "", "test", "@", "test@", "@iana.org", "@example.com", "test@io", "kim@mailhost", "test@iana.123",
    "test@255.255.255.255",
    ".test@iana.org", "test.@iana.org", "test..iana.org", "test..a@iana.org", "test_exa-mple.com", "test@.iana.org",
    "test@iana..com", "test@iana.org.", "test\\@test@iana.org", "a" * 65 + "@iana.org",
    '"' + "a " * 32 + '"@iana.org',
    "é" * 33 + "@iana.org",
    "test@" + "a" * 64 + ".org", "test@-iana.org", "test@iana-.com", "test@a." * 40 + "com",
    "a@" + "a." * 126 + "org", '""@iana.org', '"""@iana.org', '"\\"@iana.org', 'test"@iana.org', '"test@iana.org',
    '"test"test@iana.org', 'test"text"@iana.org', '"test""test"@iana.org', '"test"."test"@iana.org',
    '"test\0"@iana.org', '"test\\\0"@iana.org', "test\r\n@iana.org", "test@iana.org\n",
    " test@iana.org", "test@iana.org ", "test @iana.org", "test@ iana.org", "(comment)test@iana.org",
    "test@iana.org(comment)",
    "first.\r\n last@iana.org",
    "test@[1.2.3]", "test@[256.1.1.1]", "test@[::1]", "example@[::1]", "kim@::1", "kim@[127.0.0.1", "kim@127.0.0.1]",
    "test@[IPv6:1111:2222]", "test@[IPv6:1::2::3]", "test@[IPv6:fe80::1%eth0]", "test@[RFC-5322-domain-literal]",
    "test@[x:y]", "test@[]", "a@b@iana.org", "a<b@iana.org", "a,b@iana.org", "Kim <kim@iana.org>", "<kim@iana.org>",
    "kim@iana.org, lee@iana.org", "kim@ex_ample.com", "kim@exa mple.com", "kim@exam!ple.com", "kim@yy--0.com",
    # Characters that nobody sees, or that are told apart from others by nobody.
    "kim@example.com\u200b", "kim@exam\u00adple.com", "ki\u200bm@example.com", "ki\u00adm@example.com",
    "\u212aim@example.com", "\u212bke@example.com", "kim\u2028@example.com", "kim\u00a0@example.com",
    "\ufeffkim@example.com", "kim\u202e@example.com", "kim＠example.com", "\ud800@example.com",
    "kim@\ud800.example.com",
    # No IDNA.
    "kim@xn--a.example", "kim@xn--.example", "kim@xn--bcher-kva-.example", "kim@☃.example", "kim@\u0301a.example",
    "kim@a\u200cb.example", "kim@a\u200db.example", "kim@\u200cنامه.com", "ki\u200cm@نامه\u200cای.com",
    "@نامه\u200cای.com", "kim@نامه\u200cای", "kim@ex_a.نامه\u200cای.com",
    "kim@é..org", "kim@" + "é" * 70 + ".org", "kim@1.אב.com", "kim@⒈.example",
]  # fmt: skip


@pytest.mark.parametrize(("given_", "wanted"), GOOD.items(), ids=map(ascii, GOOD))
def test_valid_addresses_in_their_canonical_spelling(given_, wanted):
    assert spelled(given_) == wanted
    assert spelled(wanted) == wanted
    assert hashed(given_) == hashed(wanted)


@pytest.mark.parametrize("address", BAD, ids=ascii)
def test_invalid_addresses(address):
    with pytest.raises(InvalidAddress) as caught:
        spelled(address)
    # A whole sentence, and nobody's address in it.
    assert str(caught.value)[0].isupper()
    assert str(caught.value).endswith(".")
    assert len(address) < 13 or address not in str(caught.value)


ONE_MAILBOX = [
    [
        "kim@example.com", "KIM@Example.COM", '"kim"@example.com', '"k\\im"@example.com', "kim@ｅxample.com",
        " kim@example.com ",
    ],
    [
        "kim@bücher.example", "kim@xn--bcher-kva.example", "Kim@BÜCHER.EXAMPLE", "kim@bu\u0308cher.example",
        '"kim"@XN--bcher-kva.example',
    ],
    ["pelé@example.com", "pele\u0301@example.com", "PELé@example.com"],
    ['"a b"@example.com', '"a\\ b"@example.com', '"A B"@EXAMPLE.com'],
    ["kim@[IPv6:2001:db8::1]", "kim@[ipv6:2001:DB8:0::1]", "kim@[IPv6:2001:db8:0:0:0:0:0:1]"],
    # A soft hyphen is refused at the door; a row from before was sent to where it leads.
    ["kim@example.com", "kim@exam\u00adple.com", "kim@example.com\u200b"],
]  # fmt: skip


@pytest.mark.parametrize("spellings", ONE_MAILBOX, ids=lambda spellings: ascii(spellings[0]))
def test_one_mailbox_has_one_hash(spellings):
    assert len({hashed(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u212aim@example.com", "kim@example.com"),
        ("PELÉ@example.com", "pelé@example.com"),
        ("kıim@example.com", "kiim@example.com"),
        ("İm@example.com", "im@example.com"),
        ("faß@example.com", "fass@example.com"),
        ("kim@faß.de", "kim@fass.de"),
        ("а@example.com", "a@example.com"),
        ("a.b@example.com", "ab@example.com"),
        ("a+b@example.com", "a@example.com"),
        ("ｋim@example.com", "kim@example.com"),
    ],
)
def test_other_letters_are_another_mailbox(one, other):
    assert hashed(one) != hashed(other)


@PATIENTLY
@given(addresses)
@example("INFO@example.com")
@example('"Info"@faß.example')
@example('"a\u037eb"@example.com')
@example("a@b--c.example")
def test_a_spelling_is_final_and_every_form_of_it_has_its_hash(address):
    found = taken(address)
    assume(found is not None)
    assert spelled(found) == found
    assert hashed(found) == hashed(address)
    local, _, domain = found.rpartition("@")
    assert domain.isascii()
    assert hashed(f"{local}@{domain.upper()}".replace("[IPV6", "[IPv6")) == hashed(address)
    if not local.startswith('"'):
        assert hashed(f'"{local}"@{domain}') == hashed(address)


plain = some.tuples(
    some.text(ATEXT + ".", min_size=1, max_size=66),
    plain_domains,
    some.sampled_from(["com", "C", "c0m", "x-y", "12"]),
)


@given(plain.map(lambda parts: f"{parts[0]}@{parts[1]}.{parts[2]}"))
@example("a@b--c.com")
@example("a@xn--bcher-kva.com")
def test_the_fast_path_agrees_with_the_library(address):
    try:
        slow = email_addresses._spelled.__wrapped__(address)
    except InvalidAddress:
        slow = None
    assert (taken(address) or "").lower() == (slow or "").lower()
    assert comparable(address) == (slow or address).lower()


@PATIENTLY
@given(addresses)
@example('"a<b"@example.com')
@example('"a\\"b, c"@example.com')
@example("用户@例え.テスト")
@example('"é x"@example.com')
@example('".a"@example.com')
def test_what_is_taken_can_be_built(address):
    found = taken(address)
    assume(found is not None)
    message = EmailMessage("<1@example.org>", "Kim <kim@example.org>", found, "s", "<p>h</p>", "t")
    envelope = Envelope.of(message)
    assert envelope.to == found
    assert envelope.commands(())[1] == f"RCPT TO:<{found}>"
    assert f"\r\nTo: {found}\r\n".encode() in envelope.octets
    assert parse_single_address(found).domain == found.rpartition("@")[2]


@given(some.text(max_size=80))
def test_hashing_and_tidying_never_fail(text):
    assert len(hashed(text)) == 64
    assert tidied(tidied(text)) == tidied(text)
    assert all(len(one) == 64 for one in former_hashes("email", text))


@pytest.mark.parametrize(
    "address",
    [
        '"a<b"@bücher.example',
        "kim@bücher.example",
        "KIM@bücher.example",
        "kim@xn--bcher-kva.example",
        '"kim"@bücher.example',
        '"kim"@example.com',
    ],
)
def test_hashes_of_an_earlier_release_are_known(address):
    # That release trimmed, and took capitals away.
    assert address.lower() in [comparable(address), *email_addresses.former_comparables(address)]


SENDERS = {
    "Acme, Inc. <a@b.example>": ("Acme, Inc.", "a@b.example"),
    '"Acme, Inc." <a@b.example>': ("Acme, Inc.", "a@b.example"),
    "[Prod] Alerts <a@b.example>": ("[Prod] Alerts", "a@b.example"),
    "Acme (dept.) <a@b.example>": ("Acme (dept.)", "a@b.example"),
    "Acme: News; <a@b.example>": ("Acme: News;", "a@b.example"),
    'Acme "The Best" Inc <a@b.example>': ("Acme The Best Inc", "a@b.example"),
    '"A \\"B\\" \\\\ C" <a@b.example>': ('A "B" \\ C', "a@b.example"),
    '"a <b> c" <a@b.example>': ("a <b> c", "a@b.example"),
    'Name <"a<b"@b.example>': ("Name", '"a<b"@b.example'),
    "Büro <a@bücher.example>": ("Büro", "a@xn--bcher-kva.example"),
    "=?utf-8?q?B=C3=BCro?= <a@b.example>": ("Büro", "a@b.example"),
    "=?utf-8?b?QsO8cm8=?= Eins <a@b.example>": ("Büro Eins", "a@b.example"),
    '"=?utf-8?q?B=C3=BCro?=" <a@b.example>': ("=?utf-8?q?B=C3=BCro?=", "a@b.example"),
    "=?utf-8?q?a=0Ab?= <a@b.example>": ("=?utf-8?q?a=0Ab?=", "a@b.example"),
    "=?nonsense?q?x?= <a@b.example>": ("=?nonsense?q?x?=", "a@b.example"),
    "kim@b.example <a@b.example>": ("kim@b.example", "a@b.example"),
    "<a@b.example>": ("", "a@b.example"),
    "a@b.example": ("", "a@b.example"),
    " a@bücher.example ": ("", "a@xn--bcher-kva.example"),
    "アラート <警告@例え.テスト>": ("アラート", "警告@xn--r8jz45g.xn--zckzah"),
    "O'Neil <o'neil@b.example>": ("O'Neil", "o'neil@b.example"),
}


@pytest.mark.parametrize(("text", "read"), SENDERS.items())
def test_a_sender(text, read):
    found = sender(text)
    assert (found.name, found.address) == read
    # As it is written, it is read again, also by the library that speaks to services.
    assert sender(str(found)) == found
    again = parse_single_address(str(found))
    assert (again.display_name, again.addr_spec) == read


@pytest.mark.parametrize(
    "text",
    [
        "", "Acme", "<>", "Acme <>", "a@b.example, c@d.example", "Kim <a@b.example>, Lee <c@d.example>",
        "a@b.example, Lee <c@d.example>", "Kim <a@b.example> Lee <c@d.example>", "Team: a@b.example;",
        "Kim <a@b..example>", "Kim <a@[::1]>", "Kim <a@b.example", "Kim a@b.example>", "a@b.example (Kim)",
    ],
)  # fmt: skip
def test_invalid_senders(text):
    with pytest.raises(InvalidAddress):
        sender(text)


@given(some.text(some.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=40))
def test_any_name_in_quotes_comes_back(name):
    quoted_name = name.replace("\\", "\\\\").replace('"', '\\"')
    assert sender(f'"{quoted_name}" <a@b.example>').name == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('to "a<b"@example.com: no', 'to "***@example.com: no'),
        ('<"a b, c"@example.com>: 550', '<"***@example.com>: 550'),
        ('"a\\"b"@example.com', '"***@example.com'),
        ("用户@xn--r8jz45g.xn--zckzah: no", "用***@xn--r8jz45g.xn--zckzah: no"),
        ("pelé@example.com", "p***@example.com"),
        ('"Kim" <kim@example.com>', '"Kim" <k***@example.com>'),
        ('say "hi" to kim@example.com', 'say "hi" to k***@example.com'),
        ("kim@[192.0.2.1]", "k***@[192.0.2.1]"),
    ],
)
def test_messages_and_log_lines_have_every_address_masked(text, shown):
    assert masked_text(text) == shown
    assert mask(text) == shown
