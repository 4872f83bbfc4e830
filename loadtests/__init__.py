"""Measurements of the whole product: interleaved rounds beside baselines, recorded with their goals.

`python -m loadtests.bench` measures and records, `loadtests.incumbent` does so beside the incumbent, `loadtests.report`
renders RESULTS.md, `loadtests.demo` shows a short version. `loadtests.simulator` measures the cluster simulator.

What is promised and whether it is kept: `goals`, `verdicts`, `record`. What is compared: `function_image` and `program`
(the program of an image), `baselines` (bare, bridge), `nginx_proxy`, `instance` (a host of ours), `placement`, all put up
by `stand`. How: `warm`, `cold`, `sustained`, `memory`, `idle`, `echo`, with `generators` for the load, `process_cost`,
`instructions`, `attachment` and `leaks` for what it cost and left. How it is shown: `pivot`, `table`, `plot`, `chapters`.
"""
