"""Programs for developers and CI: services for the tests, packages, other Python versions.

They may import the standard library and each other.
They must not import the product: some of them run before anything is installed.
"""
