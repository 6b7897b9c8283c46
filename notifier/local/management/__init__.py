"""The local default's command, `quickstart`.

May import everything: it composes the demo.
Must not be needed by anything else.
"""
