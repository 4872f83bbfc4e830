"""Measurements of the whole product: interleaved rounds beside baselines, recorded with their goals.

`python -m loadtests.bench` measures and records, `python -m loadtests.demo` shows a short version. Decisions and
statistics (`quantiles`, `goals`, `record`, `rounds`) are pure; `targets` starts real servers and `generators` real load.
"""
