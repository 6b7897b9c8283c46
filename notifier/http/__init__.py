"""What holds for every HTTP request: middleware, the response envelope, errors, paging, health and metrics.

May import the settings, `notifier.lib` and the apps.
Must not be imported by an app, nor hold what belongs to one endpoint of an app.
"""
