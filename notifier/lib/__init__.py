"""The library: general code without business rules, for every app and for the project.

May import Django, third-party packages and itself.
Must not import an app or any other package of the project.
"""
