"""Static analysis of parsed templates: the variables they use, and filter calls that can only fail.

May import the engine, its context, limits and errors, and the `liquid` package. Must not render a template or need
its variables' values.
"""
