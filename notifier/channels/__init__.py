"""The declaration of each channel, as data: its address, the parts of its content, its retries.

May import `notifier.lib`.
Must not import Django's models or any app: whatever treats channels alike asks here; what acts is in
`apps.notifications.channels`, in a folder of the channel's code.
"""
