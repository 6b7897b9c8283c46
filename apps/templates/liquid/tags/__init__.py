"""Tags and comparison expressions that replace the library's, so that values print and compare as in Liquid.

May import `values` and the `liquid` package. Must not import the engine or the filters, or do any I/O.
"""
