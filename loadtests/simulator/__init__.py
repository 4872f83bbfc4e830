"""The cluster simulator, measured: requests per CPU-second and memory, and how both grow with machines and requests.

`make bench-sim` runs `python -m loadtests.simulator`. Every figure is of a fresh process (`probe`) that runs one scenario
(`workloads`); rounds are interleaved and recorded like those of every other benchmark.
"""
