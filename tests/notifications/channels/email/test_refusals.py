"""What a refusal means for the address: codes and texts as mail servers send them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.notifications.channels.email.providers.smtp.outcomes import Phase, classify, read_reply
from apps.notifications.channels.email.refusal_phrases import ROWS, Meaning
from apps.notifications.channels.email.refusals import GONE, disabled_for_now, meaning, plain, reported

UNKNOWN, DISABLED, REASSIGNED = Meaning.UNKNOWN, Meaning.DISABLED, Meaning.REASSIGNED
FULL, RATE, POLICY = Meaning.FULL, Meaning.RATE, Meaning.POLICY

DEAD = {
    "550 no such user here": UNKNOWN,
    "550 5.1.1 <kim@example.com>: Recipient address rejected: User unknown in virtual mailbox table": UNKNOWN,
    "550 5.1.1 <kim@example.com>: Recipient address rejected: User unknown in relay recipient table": UNKNOWN,
    "550 5.1.1 <kim@example.com>... User unknown": UNKNOWN,
    "550 5.1.1 The email account that you tried to reach does not exist. Please try": UNKNOWN,
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup": UNKNOWN,
    "550 5.1.351 Remote server returned unknown recipient or mailbox unavailable": UNKNOWN,
    "550 5.4.1 Recipient address rejected: Access denied. [DB5EUR01FT003.prod.outlook.com]": UNKNOWN,
    "550 5.5.0 mailbox unavailable": UNKNOWN,
    "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).": UNKNOWN,
    "550 Requested action not taken: mailbox unavailable": UNKNOWN,
    "554 delivery error: dd This user doesn't have a yahoo.com account (kim@yahoo.com) [0] - mta1": UNKNOWN,
    "554 delivery error: dd Not a valid recipient - mta1.example.net": UNKNOWN,
    "552 1 Requested mail action aborted, mailbox not found": UNKNOWN,
    "550 5.1.1 sorry, no mailbox here by that name. (#5.1.1)": UNKNOWN,
    "511 sorry, no mailbox here by that name (#5.1.1 - chkuser)": UNKNOWN,
    "550 <kim@example.com>, Recipient unknown": UNKNOWN,
    "550 Unrouteable address": UNKNOWN,
    "550 Invalid Recipient - https://community.example.com/docs/DOC-1369#550": UNKNOWN,
    "553 5.3.0 <kim@example.com>... No such user here": UNKNOWN,
    "550 5.1.0 <kim@example.com> address unknown": UNKNOWN,
    "550 5.2.0 No such mailbox": UNKNOWN,
    "550 5.0.0 <kim@example.com>... Mailbox does not exist": UNKNOWN,
    "551 5.1.1 <kim@example.com>: not our customer": UNKNOWN,
    "550 User kim (kim@example.com) not listed in Domino Directory": UNKNOWN,
    "550 5.1.2 <kim@example.test>... Host unknown": UNKNOWN,
    "550 5.1.10 example.com does not accept mail (nullMX)": UNKNOWN,
    "550 kim@example.com does not exist": UNKNOWN,
    "550 <spam-block-policy@blocked.example>: user unknown": UNKNOWN,
    "550 Benutzer unbekannt / user unknown": UNKNOWN,
    "550 Adresse d au moins un destinataire invalide": UNKNOWN,
    "550 Usuario desconocido": UNKNOWN,
    "550 utente sconosciuto": UNKNOWN,
    "550 5.2.1 The email account that you tried to reach is disabled. Learn more at": DISABLED,
    "550 5.2.1 <kim@example.com>": DISABLED,
    "554 30 Sorry, your message to kim@example.com cannot be delivered. This mailbox is disabled (554.30).": DISABLED,
    "550 <kim@example.com>: Account deactivated": DISABLED,
    "550 5.1.1 <kim@example.com>: inactive email address": UNKNOWN,
    "550 Mailbox is inactive": DISABLED,
    "550 Can not find this user: cannot find this recipient": UNKNOWN,
    "550 用户不存在": UNKNOWN,
    "550 5.1.1 recipient is no longer here": UNKNOWN,
    "550 account has been cancelled": DISABLED,
    "550 5.7.17 Mailbox owner has changed": REASSIGNED,
    "550 5.7.18 Domain owner has changed": REASSIGNED,
}  # fmt: skip
ALIVE = {
    "550 the sending address is on a block list": POLICY,
    "550 relaying is not permitted": POLICY,
    "550 the SPF check of the sender failed": POLICY,
    "550 5.7.1 Relaying denied": POLICY,
    "550 5.7.26 This mail has been blocked because the sender is unauthenticated": POLICY,
    "550 5.1.3 blocked by the recipient's block list": POLICY,
    "550 5.1.1 <kim@example.com>: Recipient address rejected: Rejected by header based manually blocked": POLICY,
    "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org": POLICY,
    "550 5.7.1 messages from [192.0.2.1] weren't sent. Your network is on our block list (S3140)": POLICY,
    "550 permanent failure for one or more recipients (kim@example.com:blocked)": POLICY,
    "550 Sender verify failed: <a@b.example>: user unknown": POLICY,
    "550 Verification failed for <a@b.example> 550-Unrouteable address": POLICY,
    "550 5.1.8 <a@b.example>: Sender address rejected: Domain not found": Meaning.OTHER,
    "553 5.1.8 <a@b.example>... Domain of sender address a@b.example does not exist": Meaning.OTHER,
    "450 4.1.8 <a@b.example>: Sender address rejected: Domain not found": Meaning.OTHER,
    "550 Access denied - Invalid HELO name": POLICY,
    "550 Your account has been disabled. Please contact your administrator.": POLICY,
    "550 Your mailbox is disabled": POLICY,
    "550 Sending account disabled": POLICY,
    "550 SMTP access for this account is disabled": POLICY,
    "554 mail address invalid.": POLICY,
    "550 number of invalid recipients per session": POLICY,
    "550 harvest attack, unknown recipients": POLICY,
    "550 Unknown user or password incorrect": POLICY,
    "550 invalid user credentials": POLICY,
    "550 you are not a known user of this relay": POLICY,
    "550 the return address does not exist": POLICY,
    "550 5.1.1 internal mail only": POLICY,
    "550 5.1.1 country not accepted": POLICY,
    "550 SMTPUTF8 invalid address": POLICY,
    "550 an unknown user agent": POLICY,
    "501 5.1.3 Bad recipient address syntax": Meaning.OTHER,
    "550 Mailbox not available at this time": RATE,
    "550 mailbox closed for maintenance": RATE,
    "550 vacation mode, mailbox closed until Monday": RATE,
    "550 backend error: mailbox not found": RATE,
    "550 5.7.1 Client host rejected: cannot find your reverse hostname": POLICY,
    "550 5.7.1 <kim@example.com>: Recipient address rejected: No such user": POLICY,
    "550 Requested action not taken: mailbox unavailable. For explanation visit; reverse DNS does not comply": POLICY,
    "550 Mailbox unavailable or access denied": POLICY,
    "550 5.4.1 Relay access denied": Meaning.OTHER,
    "550 5.4.310 DNS domain does not exist": Meaning.OTHER,
    "550 Rejected because of unauthenticated senders": POLICY,
    "550 5.1.1 Refused due to recipient preferences": POLICY,
    "550 5.2.1 this person gets mail too fast just now": RATE,
    "450 4.2.1 The user you are trying to contact is receiving mail at a rate that": RATE,
    "550 5.2.121 Recipient's per-hour message receive limit exceeded": RATE,
    "550 too many messages, come back later": RATE,
    "550 5.1.1 User unknown, temporary lookup failure": RATE,
    "550 this mailbox is currently disabled": RATE,
    "550 5.1.1 Mailbox has exceeded the limit": FULL,
    "550 the mailbox is over its quota": FULL,
    "552 5.2.2 <kim@example.com>: user is over quota": FULL,
    "550 5.1.1 <kim@example.com> recipient overquota": FULL,
    "554 5.2.2 mailbox full; The account has no room": FULL,
    "550 552 Requested mail action aborted: exceeded storage allocation": FULL,
    "550 Boite du destinataire pleine": FULL,
    "552 5.3.4 message size exceeds limit": Meaning.TOO_LARGE,
    "550": Meaning.SILENT,
    "550 rejected": Meaning.SILENT,
    "550 5.0.0 Address rejected": Meaning.SILENT,
    # Cisco's usual phrase for an unknown recipient; other servers use it for any reason.
    "550 #5.1.0 Address rejected.": Meaning.SILENT,
    "551 moved": Meaning.SILENT,
    "550 domain not found": Meaning.NO_DOMAIN,
    "554 5.1.1 nobody": Meaning.OTHER,
    "503 User unknown": Meaning.OTHER,
    "501 Invalid address": Meaning.OTHER,
    "550 5.4.4 no mail servers for the domain": Meaning.OTHER,
    "550 5.1.1 user-unknown.example refused us for its policy": POLICY,
}  # fmt: skip


def of(line: str) -> Meaning:
    reply = read_reply([line.encode()])
    return meaning(reply.code, reply.enhanced, reply.text)


@pytest.mark.parametrize("line", DEAD)
def test_what_calls_an_address_dead(line: str) -> None:
    assert of(line) is DEAD[line]
    assert classify(Phase.RCPT, read_reply([line.encode()])).recipient_gone
    # Nobody's MAIL command names the recipient.
    assert not classify(Phase.MAIL, read_reply([line.encode()])).recipient_gone


@pytest.mark.parametrize("line", ALIVE)
def test_what_does_not(line: str) -> None:
    assert of(line) is ALIVE[line]
    for phase in Phase:
        assert not classify(phase, read_reply([line.encode()])).recipient_gone


def test_every_row_names_its_source_and_finds_something() -> None:
    samples = [plain(line) for line in (*DEAD, *ALIVE)] + OTHER_PHRASES
    for means, pattern, source in ROWS:
        assert source, pattern
        assert any(re.search(pattern, sample) for sample in samples), (means, pattern)


OTHER_PHRASES = [
    plain(text)
    for text in (
        "out of storage space", "insufficient system storage", "too big", "throttled", "greylisted",
        "limit reached", "unusual volume", "listed at a list", "spam", "poor reputation", "against our policy",
        "not authorized", "TLS required", "attachment", "unknown client", "callout", "whitelist", "loop", "拒绝中继",
        "cannot find your mailbox", "user not found", "user not exist", "nonexistent recipient", "user invalid",
        "nobody here", "recipient unrecognized", "address no longer valid", "recipient not in the directory",
        "kein Benutzer", "Konto nie istnieje", "disabled account", "Postfach deaktiviert", "unknown user",
        "kim@example.com is now disabled", "unknown domain", "connection refused", "full mailbox", "disk full",
    )
]  # fmt: skip

DOUBTS = [
    "blocked", "block list", "blacklisted", "spam", "policy", "SPF", "DKIM", "DMARC", "reverse DNS", "relaying",
    "relay access denied", "access denied", "not allowed", "too many messages", "rate limit", "try later",
    "over quota", "mailbox full", "temporarily", "unauthenticated", "sender rejected", "your IP address",
    "greylisted", "reputation", "your domain", "virus",
]  # fmt: skip


@given(
    line=st.sampled_from(sorted(DEAD)),
    doubt=st.sampled_from(DOUBTS),
    first=st.booleans(),
    join=st.sampled_from([" ", "; ", ": ", " - ", ". "]),
)
def test_a_reason_to_doubt_keeps_the_address(line: str, doubt: str, first: bool, join: str) -> None:
    code, _, text = line.partition(" ")
    enhanced = re.match(r"[0-9.]+\s", text)
    head, text = (enhanced[0], text[enhanced.end() :]) if enhanced else ("", text)
    mixed = f"{doubt}{join}{text}" if first else f"{text}{join}{doubt}"
    assert of(f"{code} {head}{mixed}") not in GONE
    assert reported(head.strip(), f"smtp; {code} {head}{mixed}") not in GONE


@given(code=st.integers(500, 599), text=st.text(max_size=200))
def test_a_bare_code_and_any_text_end_no_address_unless_they_say_so(code: int, text: str) -> None:
    found = meaning(code, "", text)
    if found in GONE:
        assert re.search(r"exist|unknown|such|invalid|[245]\.[0-9]", text.lower()), text


@given(text=st.text(st.characters(codec="utf-8"), max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    for line in (text, f"550 {text}", f"550 5.1.1 {text}"):
        reported("5.0.0", line)
        disabled_for_now(line)


@pytest.mark.parametrize(
    ("status", "text", "found"),
    [
        ("5.0.0", "550 <a@b.example>: User unknown", UNKNOWN),
        ("5.0.0", "550 5.1.1 The email account that you tried to reach 550 5.1.1 does not exist", UNKNOWN),
        ("5.0.0", "550 the address you send from is on a block list", POLICY),
        ("5.5.0", "550 5.5.0 mailbox unavailable", UNKNOWN),
        ("5.1.1", "", UNKNOWN),
        ("5.1.1", "550 5.1.1 nobody of that name here", UNKNOWN),
        ("5.1.1", "X-Unix; 67", UNKNOWN),
        ("5.1.1", "550 5.7.26 DMARC", POLICY),
        ("5.7.1", "550 5.1.1 no such user", POLICY),
        ("5.1.3", "550 5.1.3 listed on a block list", POLICY),
        ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied. [DB5EUR01FT003]", UNKNOWN),
        ("5.1.351", "550 5.1.351 Remote server returned unknown recipient", UNKNOWN),
        ("5.2.1", "550 5.2.1 this person gets mail too fast just now", RATE),
        ("5.2.1", "550 5.2.1 The email account is disabled", DISABLED),
        ("5.2.2", "552 5.2.2 full", FULL),
        ("4.4.7", "450 4.1.1 user unknown", Meaning.OTHER),
        ("4.2.1", "452 4.2.1 mailbox disabled", Meaning.OTHER),
        ("5.1.1", "450 4.1.1 user unknown", Meaning.OTHER),
        ("5.0.0", "", Meaning.SILENT),
        ("", "", Meaning.SILENT),
        ("", "550 5.1.1 no such user", UNKNOWN),
    ],
)
def test_a_refusal_that_another_server_reports(status: str, text: str, found: Meaning) -> None:
    assert reported(status, text) is found


@pytest.mark.parametrize(
    ("text", "so"),
    [
        ("rcpt: 450 4.2.1 mailbox disabled", True),
        ("4.2.1 452 account is disabled", True),
        ("rcpt: 550 5.2.1 mailbox disabled", False),
        ("rcpt: 450 4.2.1 mailbox disabled, rate limit", False),
        ("rcpt: 450 4.2.1 try again", False),
    ],
)
def test_a_mailbox_that_is_disabled_for_now(text: str, so: bool) -> None:
    assert disabled_for_now(text) is so
