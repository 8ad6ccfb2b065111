"""The workloads of the library, each beside its peers: ``python -m benchmarks``."""
