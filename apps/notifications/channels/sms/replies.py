"""What an answer to a text asks for: networks want every sender to obey these words."""

import re
import unicodedata

NO_MORE = frozenset(
    {
        "STOP",
        "STOPALL",
        "STOP ALL",
        "UNSUBSCRIBE",
        "CANCEL",
        "END",
        "QUIT",
        "REVOKE",
        "OPTOUT",
        "OPT OUT",
        "ARRET",
    }
)
AGAIN = frozenset({"START", "UNSTOP"})


def refuses(text: str) -> bool | None:
    """True: the person wants no more texts; False: wants them again; None: says anything else.

    The word stands alone, in any case, with or without accents and punctuation.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().upper()
    word = re.sub(r"[^A-Z]+", " ", plain).strip()
    if word in NO_MORE:
        return True
    return False if word in AGAIN else None
