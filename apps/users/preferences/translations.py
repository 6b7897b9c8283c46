"""The texts of the preference page and the password reset page, by language."""

from collections.abc import Mapping

TRANSLATIONS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Your notifications",
        "for": "Messages from {organization} to {address}",
        "stop": "Stop these emails",
        "stop_what": "You get emails about “{category}”.",
        "stopped": "Done. You get no more emails about “{category}”.",
        "stop_all_what": (
            "You get emails from {organization} at this address. If you stop them, none at all is sent to it any "
            "more."
        ),
        "stopped_all": "Done. {organization} sends nothing to this address any more.",
        "mandatory": "Emails about “{category}” can't be stopped: they are about your account or its safety.",
        "saved": "Your choices are saved.",
        "choose": "What may we send you?",
        "about": "About",
        "rest": "Everything else",
        "always": "always",
        "save": "Save",
        "gone": "This link does not work, or not any more.",
        "gone_why": "Please open it again from the newest message that you have from us.",
        "wait": "Too many requests came from your network. Please wait a minute, then try again.",
    },
    "fr": {
        "title": "Vos notifications",
        "for": "Messages de {organization} à {address}",
        "stop": "Ne plus recevoir ces e-mails",
        "stop_what": "Vous recevez des e-mails au sujet de « {category} ».",
        "stopped": "C'est fait. Vous ne recevrez plus d'e-mails au sujet de « {category} ».",
        "stop_all_what": (
            "Vous recevez des e-mails de {organization} à cette adresse. En les arrêtant, vous n'y recevrez plus "
            "aucun e-mail."
        ),
        "stopped_all": "C'est fait. {organization} n'envoie plus rien à cette adresse.",
        "mandatory": (
            "Les e-mails au sujet de « {category} » ne peuvent pas être arrêtés : ils concernent votre compte ou sa "
            "sécurité."
        ),
        "saved": "Vos choix sont enregistrés.",
        "choose": "Que pouvons-nous vous envoyer ?",
        "about": "Sujet",
        "rest": "Tout le reste",
        "always": "toujours",
        "save": "Enregistrer",
        "gone": "Ce lien ne fonctionne pas, ou plus.",
        "gone_why": "Ouvrez-le à nouveau depuis notre message le plus récent.",
        "wait": "Trop de demandes viennent de votre réseau. Patientez une minute, puis réessayez.",
    },
    "de": {
        "title": "Ihre Benachrichtigungen",
        "for": "Nachrichten von {organization} an {address}",
        "stop": "Diese E-Mails abbestellen",
        "stop_what": "Sie erhalten E-Mails zu „{category}“.",
        "stopped": "Erledigt. Sie erhalten keine E-Mails zu „{category}“ mehr.",
        "stop_all_what": (
            "Sie erhalten E-Mails von {organization} an diese Adresse. Wenn Sie sie abbestellen, geht gar keine "
            "mehr dorthin."
        ),
        "stopped_all": "Erledigt. {organization} sendet nichts mehr an diese Adresse.",
        "mandatory": (
            "E-Mails zu „{category}“ lassen sich nicht abbestellen: Es geht darin um Ihr Konto oder dessen "
            "Sicherheit."
        ),
        "saved": "Ihre Auswahl ist gespeichert.",
        "choose": "Was dürfen wir Ihnen senden?",
        "about": "Thema",
        "rest": "Alles andere",
        "always": "immer",
        "save": "Speichern",
        "gone": "Dieser Link funktioniert nicht oder nicht mehr.",
        "gone_why": "Bitte öffnen Sie ihn noch einmal aus unserer neuesten Nachricht.",
        "wait": "Aus Ihrem Netz kamen zu viele Anfragen. Bitte warten Sie eine Minute und versuchen Sie es erneut.",
    },
    "es": {
        "title": "Sus notificaciones",
        "for": "Mensajes de {organization} a {address}",
        "stop": "No recibir más estos correos",
        "stop_what": "Usted recibe correos sobre «{category}».",
        "stopped": "Hecho. Ya no recibirá correos sobre «{category}».",
        "stop_all_what": (
            "Usted recibe correos de {organization} en esta dirección. Si los cancela, ya no se enviará ninguno a "
            "ella."
        ),
        "stopped_all": "Hecho. {organization} ya no envía nada a esta dirección.",
        "mandatory": (
            "Los correos sobre «{category}» no se pueden cancelar: tratan de su cuenta o de su seguridad."
        ),
        "saved": "Sus preferencias están guardadas.",
        "choose": "¿Qué podemos enviarle?",
        "about": "Tema",
        "rest": "Todo lo demás",
        "always": "siempre",
        "save": "Guardar",
        "gone": "Este enlace no funciona, o ya no funciona.",
        "gone_why": "Ábralo de nuevo desde nuestro mensaje más reciente.",
        "wait": "Han llegado demasiadas solicitudes desde su red. Espere un minuto e inténtelo de nuevo.",
    },
}
RESET_TRANSLATIONS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "A new password",
        "for": "For {address} at {organization}",
        "new_password": "New password (at least 10 characters)",
        "set": "Set the password",
        "done": "Done. Sign in with your new password; every other sign-in has ended.",
        "gone": "This link does not work, or not any more. Please ask for another one.",
        "wait": "Too many requests came from your network. Please wait a minute, then try again.",
    },
    "fr": {
        "title": "Un nouveau mot de passe",
        "for": "Pour {address} chez {organization}",
        "new_password": "Nouveau mot de passe (au moins 10 caractères)",
        "set": "Enregistrer le mot de passe",
        "done": "C'est fait. Connectez-vous avec votre nouveau mot de passe ; toute autre connexion est terminée.",
        "gone": "Ce lien ne fonctionne pas, ou plus. Demandez-en un autre.",
        "wait": "Trop de demandes viennent de votre réseau. Patientez une minute, puis réessayez.",
    },
    "de": {
        "title": "Ein neues Passwort",
        "for": "Für {address} bei {organization}",
        "new_password": "Neues Passwort (mindestens 10 Zeichen)",
        "set": "Passwort setzen",
        "done": "Erledigt. Melden Sie sich mit dem neuen Passwort an; jede andere Anmeldung ist beendet.",
        "gone": "Dieser Link funktioniert nicht oder nicht mehr. Bitte fordern Sie einen neuen an.",
        "wait": "Aus Ihrem Netz kamen zu viele Anfragen. Bitte warten Sie eine Minute und versuchen Sie es erneut.",
    },
    "es": {
        "title": "Una contraseña nueva",
        "for": "Para {address} en {organization}",
        "new_password": "Contraseña nueva (al menos 10 caracteres)",
        "set": "Guardar la contraseña",
        "done": "Hecho. Inicie sesión con la contraseña nueva; las demás sesiones han terminado.",
        "gone": "Este enlace no funciona, o ya no funciona. Pida otro.",
        "wait": "Han llegado demasiadas solicitudes desde su red. Espere un minuto e inténtelo de nuevo.",
    },
}
DEFAULT = "en"


def supported_language(*languages: str) -> str:
    """The first of these language tags that has translations (`fr-CA` counts as French), else English; the base
    language alone, as `fr`."""
    return next(
        (base for tag in languages if (base := tag.partition("-")[0].lower()) in TRANSLATIONS), DEFAULT
    )
