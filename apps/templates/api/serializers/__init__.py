"""Request and response schemas of the template API.

May import `authoring`, `models`, `declarations`, `liquid` and the field library. Must not import the views or
decide who may do what.
"""
