"""Bounces in the formats of real mail servers. Each takes the address that it goes to and the returned Message-ID."""

from textwrap import dedent

GONE = "550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown in local recipient table"


def postfix(to, message_id, *, action="failed", status="5.1.1", reply=f"smtp; {GONE}"):
    return _mail(
        f"""\
        Return-Path: <>
        Delivered-To: {to}
        Received: by relay.sender.test (Postfix) id 9F1A2C0D3E; Tue, 24 Nov 2026 10:00:02 +0000 (UTC)
        Date: Tue, 24 Nov 2026 10:00:02 +0000 (UTC)
        From: MAILER-DAEMON@relay.sender.test (Mail Delivery System)
        Subject: Undelivered Mail Returned to Sender
        To: {to}
        Auto-Submitted: auto-replied
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=delivery-status;
            boundary="7B3C1A0D2F.1764000002/relay.sender.test"
        Message-Id: <20261124100002.9F1A2C0D3E@relay.sender.test>

        This is a MIME-encapsulated message.

        --7B3C1A0D2F.1764000002/relay.sender.test
        Content-Description: Notification
        Content-Type: text/plain; charset=us-ascii

        This is the mail system at host relay.sender.test.

        --7B3C1A0D2F.1764000002/relay.sender.test
        Content-Description: Delivery report
        Content-Type: message/delivery-status

        Reporting-MTA: dns; relay.sender.test
        X-Postfix-Queue-ID: 7B3C1A0D2F
        X-Postfix-Sender: rfc822; {to}
        Arrival-Date: Tue, 24 Nov 2026 10:00:01 +0000 (UTC)

        Final-Recipient: rfc822; ada@example.com
        Original-Recipient: rfc822;ada@example.com
        Action: {action}
        Status: {status}
        Remote-MTA: dns; mx.example.com
        Diagnostic-Code: {reply}

        --7B3C1A0D2F.1764000002/relay.sender.test
        Content-Description: Undelivered Message Headers
        Content-Type: text/rfc822-headers

        Return-Path: <{to}>
        From: notifier@sender.test
        To: ada@example.com
        Subject: Hello Ada
        Message-ID: {message_id}

        --7B3C1A0D2F.1764000002/relay.sender.test--
        """
    )


def exim(
    to, message_id, *, reply="550-5.1.1 The email account that you tried to reach\n 550 5.1.1 does not exist"
):
    """Its Status is 5.0.0 whatever the other server replied."""
    return _mail(
        f"""\
        Return-path: <>
        Envelope-to: {to}
        Received: from Debian-exim by mail.sender.test with local (Exim 4.96) id 1tEvBz-0001Ab-2c
        X-Failed-Recipients: ada@example.com
        Auto-Submitted: auto-replied
        From: Mail Delivery System <Mailer-Daemon@mail.sender.test>
        To: {to}
        Content-Type: multipart/report; report-type=delivery-status; boundary=1764000002-eximdsn-1199
        MIME-Version: 1.0
        Subject: Mail delivery failed: returning message to sender

        --1764000002-eximdsn-1199
        Content-type: text/plain; charset=us-ascii

        A message that you sent could not be delivered to one or more of its recipients.

        --1764000002-eximdsn-1199
        Content-type: message/delivery-status

        Reporting-MTA: dns; mail.sender.test

        Action: failed
        Final-Recipient: rfc822;ada@example.com
        Status: 5.0.0
        Remote-MTA: dns; mx.example.com
        Diagnostic-Code: smtp; %REPLY%

        --1764000002-eximdsn-1199
        Content-type: message/rfc822

        Return-path: <{to}>
        Message-ID: {message_id}
        From: notifier@sender.test
        To: ada@example.com
        Subject: Hello Ada

        Hello Ada
        --1764000002-eximdsn-1199--
        """
    ).replace(b"%REPLY%", reply.replace("\n", "\r\n").encode())


def exchange(
    to, message_id, *, status="5.1.10", reply="550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP"
):
    return _mail(
        f"""\
        From: <postmaster@example.onmicrosoft.com>
        To: <{to}>
        Subject: Undeliverable: Hello Ada
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=delivery-status;
        \tboundary="b2a8cc2e-1b1f-4a57-8d1c-6b7f5c1d0a11"
        X-MS-Exchange-Message-Is-Ndr:

        --b2a8cc2e-1b1f-4a57-8d1c-6b7f5c1d0a11
        Content-Type: multipart/alternative; differences=Content-Type;
        \tboundary="ndr-words"

        --ndr-words
        Content-Type: text/plain; charset="us-ascii"

        Your message to ada@example.com couldn't be delivered.

        --ndr-words--

        --b2a8cc2e-1b1f-4a57-8d1c-6b7f5c1d0a11
        Content-Type: message/delivery-status

        Reporting-MTA: dns;DB9PR01MB0001.eurprd01.prod.exchangelabs.com
        Received-From-MTA: dns;relay.sender.test
        Arrival-Date: Tue, 24 Nov 2026 10:00:02 +0000

        Original-Recipient: rfc822;ada@example.com
        Final-Recipient: rfc822;ada@example.com
        Action: failed
        Status: {status}
        Diagnostic-Code: smtp;{reply}

        --b2a8cc2e-1b1f-4a57-8d1c-6b7f5c1d0a11
        Content-Type: message/rfc822

        From: Notifier <notifier@sender.test>
        To: <ada@example.com>
        Subject: Hello Ada
        Message-ID: {message_id}

        Hello Ada

        --b2a8cc2e-1b1f-4a57-8d1c-6b7f5c1d0a11--
        """
    )


def _mail(text):
    return dedent(text).replace("\n", "\r\n").encode()
