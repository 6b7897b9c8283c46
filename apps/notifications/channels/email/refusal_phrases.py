# ruff: noqa: E501
# One row a line.
"""The phrases in which mail servers refuse. Each row: the meaning, the pattern, and the source of the phrase.

Patterns are matched against a reply in lower case without its codes, addresses, host names and URLs, and with spaces in
place of hyphens and underscores (`refusals.plain`). A row that calls an address dead belongs here when a
server's documentation, its source or a published collection of replies has its wording; for a reason to doubt, a
look-alike is enough. A reply that matches both is doubted, so the order of the rows only decides which doubt is named.
"""

from enum import StrEnum


class Meaning(StrEnum):
    """What a refusal means; the values are the stable codes that operators see."""

    UNKNOWN = "mailbox_unknown"
    DISABLED = "mailbox_disabled"
    REASSIGNED = "mailbox_reassigned"
    NO_DOMAIN = "domain_unknown"
    FULL = "mailbox_full"
    RATE = "rate_limited"
    POLICY = "policy_refused"
    TOO_LARGE = "too_large"
    OTHER = "refused"
    """An enhanced code with another meaning, or with none that is known here."""
    SILENT = ""
    """Neither code nor text has a known meaning."""


_WHO = (
    r"(?:(?:e ?)?mail ?(?:box(?:es)?|account|address|drop)|user ?(?:name|id)?|recipients?|rcpt|address(?:ee)?|account|inbox|"
    r"local ?part|alias|customer|subscriber|person|login|destination(?: address)?)"
)
_GONE_NOW = r"(?:deactivated|de activated|inactive|inactivity|disabled|closed|terminated|deleted|removed|discontinued|archived)"

_POSTFIX = "Postfix 3.7: src/smtpd/smtpd_check.c"
_EXIM = "Exim 4.96: src/configure.default"
_SENDMAIL = "sendmail 8.17: cf/m4/proto.m4"
_QMAIL = "qmail-local and qmail-remote; netqmail's chkuser"
_GOOGLE = "https://support.google.com/a/answer/3726730"
_MICROSOFT = "sisimai/go-sisimai: rhost/for-microsoft.go, from Microsoft's pages on Exchange Online's codes and Outlook.com"
_YAHOO = "https://senders.yahooinc.com/smtp-error-codes"
_APPLE = "https://support.apple.com/en-us/102322"
_TENCENT = "https://service.mail.qq.com/detail/122"
_FRANCE = "sisimai/go-sisimai: rhost/for-franceptt.go; zone-eu/zone-mta: config/bounces.txt"
_MIMECAST = "Mimecast support, article 34000709564691: SMTP error codes"
_DOMINO = "twisted1919/bounce-handler: BounceHandler/rules.php; HCL Domino's delivery failure reports"
_RFC = "RFC 5321 section 4.2.2; RFC 3463 section 3"
_ZONE = "zone-eu/zone-mta: config/bounces.txt"
_KUMO = "KumoCorp/kumomta: assets/community/bounces.toml"
_HANDLER = "twisted1919/bounce-handler: BounceHandler/rules.php"
_PARSER = "libmail-deliverystatus-bounceparser-perl 1.543: t/corpus"
_CORE = "icoremail.vip and dbmailserver.com: lists of bounces"
_CAUTION = "no server's own phrase: a look-alike of one that calls an address dead, doubted to be safe"
_SINA = "https://blog.sina.com.cn/s/blog_8dc13ec50101fxxr.html"

ROWS: tuple[tuple[Meaning, str, str], ...] = (
    # -- Kept: the mailbox has no room -------------------------------------------------------------------------
    (Meaning.FULL, r"quota", _HANDLER),
    (Meaning.FULL, rf"\b{_WHO}\b.{{0,40}}\b(?:is|are|was)? ?(?:too )?full\b", _QMAIL),
    (Meaning.FULL, r"\b(?:mail ?box|inbox|mail ?drop|folder|mail ?dir)\b.{0,30}\b(?:full|exceed|too large)", _HANDLER),
    (Meaning.FULL, r"\bfull mail ?box|\bmail ?box full", _MICROSOFT),
    (Meaning.FULL, r"\bout of (?:storage|disk|space)", _GOOGLE),
    (Meaning.FULL, r"\b(?:insufficient|not enough|no|lack of)\b.{0,20}\b(?:storage|disk|space|room)\b", _RFC),
    (Meaning.FULL, r"\b(?:storage|disk)\b.{0,30}\b(?:full|exceed|limit|allocation)", _RFC),
    (Meaning.FULL, r"\bvoll\b|speicherplatz|\bpleine?\b", _FRANCE),
    (Meaning.TOO_LARGE, r"\b(?:message|mail|e ?mail|size)\b.{0,30}\b(?:too (?:big|large|long)|exceed)", _RFC),
    (Meaning.TOO_LARGE, r"\btoo (?:big|large)\b", _RFC),
    # -- Kept: for now -------------------------------------------------------------------------------------------
    (Meaning.RATE, r"\brate\b|\brates\b|ratelimit", _GOOGLE),
    (Meaning.RATE, r"\btoo (?:many|much|fast|quick|often|frequent)", _MICROSOFT),
    (Meaning.RATE, r"throttl|\bslow down\b|\bfrequen(?:t|cy)", _TENCENT),
    (Meaning.RATE, r"\b(?:later|currently (?:un|not |dis)\w*|try again in|temporar\w*|retry|transient\w*|postpone\w*|momentan\w*)\b", _RFC),
    (Meaning.RATE, r"\bgr[ea]y ?list", _ZONE),
    (Meaning.RATE, r"\b(?:exceed\w*|reached|over)\b.{0,40}\b(?:limit|number|maximum|connections|messages)\b", _YAHOO),
    (Meaning.RATE, r"\blimit\w*\b.{0,20}\b(?:exceed|reached)|\b(?:daily|hourly)\b|\bper (?:hour|day|minute|second)\b", _HANDLER),
    (Meaning.RATE, r"\bunusual\b|\bvolume\b|\boverload|\bbusy\b|\bspäter\b|\bplus tard\b|\bmás tarde\b", _MICROSOFT),
    # -- Kept: the server's policy, and anything about the sender ---------------------------------------------
    (Meaning.POLICY, r"\bblock(?!ed (?:due to|for) .{0,20}inactiv)|\bblack ?list|\bdeny ?list|\bdnsbl\b|\brbl\b|\bbanned\b|\bblocage\b", _ZONE),
    (Meaning.POLICY, r"\blisted (?:in|on|at|by)\b(?!.{0,30}(?:directory|address book))|\b(?<!not )listed\b$", _KUMO),
    (Meaning.POLICY, r"\bspam|\bunsolicited\b|\bjunk\b|\bbulk\b|\bphish|\bvirus|\bmalware|\babus|\bsuspicious", _ZONE),
    (Meaning.POLICY, r"\breputation|\bspamhaus|\bspamcop|\bbarracuda|\bsenderscore|\bcloudmark|\bproofpoint", _ZONE),
    (Meaning.POLICY, r"\bpolic(?:y|ies)\b|\bviolat|\bcomplian|\brichtlinie", _APPLE),
    (Meaning.POLICY, r"\bspf\b|\bdkim\b|\bdmarc\b|\barc\b|\bsender id\b|\bauthenticat|\bunauthenticated", _GOOGLE),
    (Meaning.POLICY, r"\breverse\b|\brdns\b|\bptr\b|\bdns\b|\bhelo\b|\behlo\b|\bmx\b|\bhost ?name\b", _EXIM),
    (Meaning.POLICY, r"\brelaying\b|\brelay (?:access|not|is not|denied|prohibited)|\b(?:to|not|no|open|for) relay\b", _EXIM),
    (Meaning.POLICY, r"\bdenied\b|\baccess den|\bforbidden\b|\bprohibited\b|\bnot permitted\b|\bpermission|\bpreferences\b", _MIMECAST),
    (Meaning.POLICY, r"\bnot allowed\b|\b(?:not|un) ?authori[sz]ed\b|\brestrict|\bdisallowed\b", _MICROSOFT),
    (Meaning.POLICY, r"\bsenders?\b|\bfrom address|\bmail from\b|\breturn ?path|\benvelope from|\bfrom: ", _POSTFIX),
    (Meaning.POLICY, r"\bclient host|\byour (?:ip|host|server|domain|network|isp|provider)\b|\bip address|\bconnection", _POSTFIX),
    (Meaning.POLICY, r"\bsecurity\b|\btls\b|\bencrypt|\bcertificate", _MIMECAST),
    (Meaning.POLICY, r"\bcontent\b|\battachment|\bheaders?\b|\bmessage (?:was )?(?:refused|rejected)|\brfc ?(?:[25]?822|5322|compl)", _ZONE),
    (Meaning.POLICY, r"\b(?:unknown|invalid) (?:sender|client|helo)|\brcpthosts\b", _SENDMAIL),
    (Meaning.POLICY, r"\bcallout|\bcall ?back\b|\bbackscatter|\bnull sender|\bbounce address|\bverification\b", _EXIM),
    (Meaning.POLICY, r"\bwhite ?list|\ballow ?list|\bchallenge|\bnot accept(?:ing|ed)?\b.{0,20}\bmail from", _PARSER),
    (Meaning.POLICY, r"\bloop|\bhop count|\btoo many hops", _POSTFIX),
    (Meaning.POLICY, r"拒绝|垃圾|发件", _SINA),
    (Meaning.POLICY, r"\byour (?:\w+ )?(?:account|mail ?box|subscription|service|plan|contract|address book|contacts)\b", "smtp.antispamcloud.com's reply for a locked account"),
    (Meaning.POLICY, r"\byour (?:e ?mail |return )?address (?:is|was|has|does|did|could|can)\b|\b(?:return|reply ?to|orcpt) address", _CAUTION),
    (Meaning.POLICY, r"\byou (?:are (?:not|no|an?)\b|cannot\b|can't\b|must\b|may not\b|need to\b)|\bpasswords?\b|\bcredentials\b", _CAUTION),
    (Meaning.POLICY, r"\buser agent\b|\b(?:sending|trial) account|\bsmtp access|\boutbound\b|\boutgoing\b|\bexceeding\b", _CAUTION),
    (Meaning.POLICY, r"\binternal\b|\bexternal\b|\boutside\b|\bquarantine|\breject ?list|\bcountr(?:y|ies)\b|\bpermitted\b|\bmembers? only|\bcontacts\b", _CAUTION),
    (Meaning.POLICY, r"\bharvest|\b(?:number of|excessive|multiple|several|percentage of|ratio of)\b.{0,20}\b(?:invalid|unknown|non ?exist)", _CAUTION),
    (Meaning.POLICY, r"\bsmtputf8\b|\bnon ascii\b|^mail address invalid\.?$", _SINA),
    (Meaning.RATE, r"\bright now\b|\bat (?:this|the) (?:time|moment)\b|\bat present\b|\bfor now\b|\buntil\b|\bmaintenance\b|\bvacation\b", _CAUTION),
    (Meaning.POLICY, r"\baddress family\b|\bsession\b|\bunreachable\b|\baccess disabled\b|\bdomain is\b", _CAUTION),
    (Meaning.RATE, r"\b(?:back ?end|database|ldap|internal) (?:\w+ )?(?:error|fail)", _CAUTION),
    # -- Kept, unless the code says that it is the recipient's domain ------------------------------------------
    (Meaning.NO_DOMAIN, r"\b(?:domain|host)s?(?: name)?(?: is| are| was| does)? (?:not exist|not found|unknown|invalid)", _SENDMAIL),
    (Meaning.NO_DOMAIN, r"\b(?:unknown|invalid|no such|non ?exist\w+) (?:host|domain)", _SENDMAIL),
    # -- Gone: there is no such mailbox ---------------------------------------------------------------------------
    (Meaning.UNKNOWN, r"@\W{0,5}(?:is |are |was )?(?:unknown\b(?! \w)|(?:does not|doesn't) exist|not found|no such|no longer (?:valid|exists))", _PARSER),
    (Meaning.UNKNOWN, r"\bunroute?able (?:mail )?address", _EXIM),
    (Meaning.UNKNOWN, rf"\b(?:can't|cannot|could not|couldn't|unable to) find (?:the |your |that )?{_WHO}\b", _QMAIL),
    (Meaning.UNKNOWN, rf"\bno such (?:\w+ )?{_WHO}\b", _QMAIL),
    (Meaning.UNKNOWN, rf"\b{_WHO}\b.{{0,40}}\b(?:is |are )?(?:not known\b|unknown\b(?! (?:error|reason|problem|command|host|domain|client|sender|helo)))", _POSTFIX),
    (Meaning.UNKNOWN, rf"\bunknown (?:local |virtual |or invalid |or illegal )?{_WHO}\b", _SENDMAIL),
    (Meaning.UNKNOWN, rf"\b{_WHO}\b.{{0,60}}\b(?:does|do|did)(?:n't| not|nt) ex[ia]st", _GOOGLE),
    (Meaning.UNKNOWN, rf"\b{_WHO}\b.{{0,30}}\b(?:not|doesn't|non ?)\s?exist(?:s|ing|ent|ant)?\b", _TENCENT),
    (Meaning.UNKNOWN, rf"\b{_WHO}\b.{{0,30}}\b(?:not|cannot be|can't be|could not be|couldn't be) (?:found|located)\b", _MICROSOFT),
    (Meaning.UNKNOWN, r"recip(?:ient)?notfound|recipientnotfound|recipient\.notfound|usernotfound", _MICROSOFT),
    (Meaning.UNKNOWN, rf"\b(?:invalid|illegal|incorrect|bad|nonexist\w+|non exist\w+)(?: \w+)? {_WHO}\b", _MIMECAST),
    (Meaning.UNKNOWN, rf"\bnot (?:a|an|our) (?:valid |known |existing |active )?{_WHO}\b", _MIMECAST),
    (Meaning.UNKNOWN, rf"\b{_WHO} (?:is |are )?(?:not (?:a )?valid|invalid|illegal)\b", _HANDLER),
    (Meaning.UNKNOWN, r"\bno mail ?box\b|\bno (?:account|user|one|body)\b.{0,20}\b(?:here|by that|with that|of that|under that)\b", _QMAIL),
    (Meaning.UNKNOWN, r"\bnobody (?:here|of that|by that|with that)\b", _QMAIL),
    (Meaning.UNKNOWN, r"\b(?:doesn't|does not|do not|don't) have (?:an?|such an?|any) (?:\w+ )?(?:account|mail ?box|user)\b", _YAHOO),
    (Meaning.UNKNOWN, rf"\b{_WHO}\b.{{0,20}}\b(?:not |un)(?:recogni[sz]ed|registered)\b", _HANDLER),
    (Meaning.UNKNOWN, rf"\b{_WHO}\b.{{0,20}}\bnot (?:present )?in (?:the |our |my |this )?(?:\w+ )?(?:directory|database|list|table)\b", _KUMO),
    (Meaning.UNKNOWN, r"\bnot listed in\b.{0,30}\b(?:directory|address book)", _DOMINO),
    (Meaning.UNKNOWN, r"\bmail ?box (?:is )?(?:not available|unavailable)|\buser account is unavailable", _RFC),
    (Meaning.UNKNOWN, rf"\b{_WHO}\b.{{0,30}}\bno longer (?:exists?|valid|active|available|in use|accepts?|on)\b", _HANDLER),
    (Meaning.UNKNOWN, r"\b(?:benutzer|empf(?:ä|ae)nger|adressat|adresse|postfach|konto)\w*\b.{0,30}\b(?:unbekannt|existiert nicht|nicht gefunden|ung(?:ü|ue)ltig)", _HANDLER),
    (Meaning.UNKNOWN, r"\bunbekannte\w* (?:benutzer|empf|adresse|postfach)|\bniemand\b.{0,30}\bbekannt|\bkein\w* (?:solche\w* )?(?:benutzer|postfach|mailbox)\b", _HANDLER),
    (Meaning.UNKNOWN, r"\b(?:utilisateur|destinataire|adresse|compte|bo(?:i|î)te)\b.{0,30}\b(?:inconnue?|inexistante?|n'existe pas|n existe pas|invalide)", _FRANCE),
    (Meaning.UNKNOWN, r"\b(?:usuari[oa]|destinatari[oa]|cuenta|buz[oó]n|direcci[oó]n)\b.{0,30}\b(?:desconocid[oa]|inexistente|no existe|no encontrad[oa]|inv[aá]lid[oa])|\bno existe \w+ (?:usuari[oa]|cuenta|buz[oó]n|direcci[oó]n)", _HANDLER),
    (Meaning.UNKNOWN, r"\b(?:utente|destin\w*|casella|indirizzo|account)\b.{0,30}\b(?:sconosciut[oa]|inesistente|non esiste|non trovat[oa])", _HANDLER),
    (Meaning.UNKNOWN, rf"\b(?:can't|cannot) find this {_WHO}|\bunavailable mail user|\bdo(?:es)?(?:n't| not) (?:know|exists?) (?:this|that) {_WHO}", _CORE),
    (Meaning.UNKNOWN, rf"\b{_WHO}\b.{{0,40}}\b(?:is|was) not (?:here\b|at this address\b|active$)|\b{_WHO} (?:is )?no longer here\b", _HANDLER),
    (Meaning.UNKNOWN, r"(?:用户|收件人|邮箱|账号|帐号)(?:地址)?不存在", _CORE),
    (Meaning.UNKNOWN, r"\bnie ma takiego (?:u[zż]ytkownika|konta|adresu)|\b(?:u[zż]ytkownik|konto|adres)\b.{0,20}\bnie istnieje", _PARSER),
    # -- Gone: the mailbox existed once ------------------------------------------------------------------------------
    (Meaning.DISABLED, rf"\b{_WHO}\b.{{0,50}}\b{_GONE_NOW}\b", _GOOGLE),
    (Meaning.DISABLED, rf"@\W{{0,5}}(?:is |was |has been )?(?:now )?{_GONE_NOW}\b|\bmail receiving disabled\b", _APPLE),
    (Meaning.DISABLED, rf"\b{_GONE_NOW} {_WHO}\b|\baccount (?:has |is )?expired\b|\baccount (?:has been |was |is )cancell?ed\b", _YAHOO),
    (Meaning.DISABLED, r"\b(?:konto|postfach)\b.{0,20}\b(?:deaktiviert|geschlossen)|\bcompte\b.{0,20}\bd[ée]sactiv[ée]|\bcuenta\b.{0,20}\bd?e?s?habilitada", _FRANCE),
)  # fmt: skip
