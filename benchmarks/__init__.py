"""What `make bench` runs: our own work and others' on the same message, in the same run (docs/benchmarks.md)."""
