"""HTML for email: MJML compiled and CSS inlined, once, when a version is saved.

May import `liquid` and the MJML and CSS libraries. Must not import Django or load anything from the network; the
libraries run in a subprocess with CPU and memory limits.
"""
