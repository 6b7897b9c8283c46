"""Writing templates: validating contents, adding and activating versions, drafts, layouts, partials, diffs.

May import `models`, `credentials`, `declarations`, `rendering`, `html` and `liquid`. Must not import the API, an
HTTP framework, or any code that sends.
"""
