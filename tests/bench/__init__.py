"""The benchmarks: what Glacier Sync does, beside what else could do it, on this machine."""
