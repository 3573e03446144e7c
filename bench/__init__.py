"""The benchmarks: Celery itself, the obvious design and Bellwire, side by side and interleaved in one run."""
