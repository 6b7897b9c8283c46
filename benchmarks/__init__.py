"""The benchmarks of `make bench`: this product and its peers with the same message, in one run (docs/benchmarks.md)."""
