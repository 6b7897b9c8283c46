"""Shared by the tests: factories, the table of routes, and servers that stand in for providers, mail and receivers.

May import the product, `scripts.private_services` and itself.
Must not hold test functions, nor import a test module.
"""
