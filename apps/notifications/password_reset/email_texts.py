"""The default text of the password reset mail, in the languages of the page behind its link."""

from typing import Any

_TEXTS = {
    "en": (
        "Set a new password",
        "Somebody, probably you, asked for a new password for your account.",
        "Set a new password",
        "The link works once, for an hour. If it wasn't you, nothing has changed and you need do nothing.",
    ),
    "fr": (
        "Choisissez un nouveau mot de passe",
        "Quelqu'un, sans doute vous, a demandé un nouveau mot de passe pour votre compte.",
        "Choisir un nouveau mot de passe",
        "Le lien fonctionne une fois, pendant une heure. Si ce n'était pas vous, ignorez ce message.",
    ),
    "de": (
        "Neues Passwort setzen",
        "Jemand, vermutlich Sie, hat ein neues Passwort für Ihr Konto angefordert.",
        "Neues Passwort setzen",
        "Der Link gilt einmal und eine Stunde lang. Waren Sie es nicht, hat sich nichts geändert; tun Sie nichts.",
    ),
    "es": (
        "Elija una contraseña nueva",
        "Alguien, probablemente usted, pidió una contraseña nueva para su cuenta.",
        "Elegir una contraseña nueva",
        "El enlace sirve una vez, durante una hora. Si no fue usted, nada ha cambiado y no tiene que hacer nada.",
    ),
}


def _content(language: str) -> dict[str, Any]:
    subject, reason, action, terms = _TEXTS[language]
    return {
        "channel": "email",
        "language": language,
        "subject": subject,
        "text": f"{reason}\n\n{action}:\n{{{{ link }}}}\n\n{terms}\n",
        "html": f'<p>{reason}</p>\n<p><a href="{{{{ link }}}}">{action}</a></p>\n<p>{terms}</p>\n',
    }


CONTENTS = [_content(language) for language in _TEXTS]
