"""The benchmarks of `make bench`: the product and its peers with one message, in one run (docs/benchmarks.md)."""
