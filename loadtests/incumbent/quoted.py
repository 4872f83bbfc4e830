"""What the real faasd once did, quoted beside what is measured now. Another machine and another day: compare ratios.

Measured on 2026-11-22 on an idle virtual machine with two cores (Xeon, Linux 6.18, Debian 12): faasd 0172c996, gateway
1ab3f323, of-watchdog 9bdadb1e, containerd 1.6.20, runc 1.1.5; the same 600-byte AES-CTR function; medians of three.
"""

from collections.abc import Mapping

from loadtests.incumbent.openfaas import CACHED, STOCK

FAASD: Mapping[str, Mapping[str, float]] = {
    STOCK: {
        "latency_us_p50": 10_900,
        "latency_us_p99": 19_100,
        "rps_c1": 85,
        "rps_c2": 158,
        "rps_c8": 322,
        "rps_c32": 496,
        "rps_c64": 532,
        "rps_peak": 532,
        "cpu_us_c8": 5_100,
        "launch_to_first_200_ms_p50": 229,
        "deploy_to_first_200_ms_p50": 266,
        "available_mib_per_replica": 11.9,
    },
    CACHED: {
        "latency_us_p50": 1_360,
        "latency_us_p99": 3_300,
        "rps_c1": 601,
        "rps_c2": 814,
        "rps_c8": 1_282,
        "rps_c32": 1_346,
        "rps_c64": 1_360,
        "rps_peak": 1_360,
        "cpu_us_c8": 1_000,
    },
}
"""By the target of ours that stands in for it, and figure. Where faasd's gateway answered an invocation without a replica
with a 500 (4 of 12), that start is not in its figure."""
