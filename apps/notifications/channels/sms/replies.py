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
    spread = unicodedata.normalize("NFKD", text)
    plain = "".join(char for char in spread if char.isascii()).upper()
    if any(char.isalpha() and not char.isascii() for char in spread):
        # Words of another script around it say something else.
        return None
    word = re.sub(r"[^A-Z]+", " ", plain).strip()
    if word in NO_MORE:
        return True
    return False if word in AGAIN else None
