"""The providers of email: each is the folder of that name."""

from apps.notifications.channels.provider import kinds_in

KINDS = kinds_in(
    "apps.notifications.channels.email.providers",
    "smtp",
    "amazon_ses",
    "brevo",
    "mailersend",
    "mailgun",
    "mailjet",
    "mailtrap",
    "mandrill",
    "postal",
    "postmark",
    "resend",
    "scaleway",
    "sendgrid",
    "sparkpost",
    "unisender_go",
)
