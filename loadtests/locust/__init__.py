"""The scenarios of the benchmarks as Locust files, for people who want to run or change them by hand.

`locust -f loadtests/locust/sequential.py --headless -H http://127.0.0.1:8080 -u 1 -t 30s`; README.md has the others.
Locust costs some 300 us of Python per request, so it shows behaviour under load, not this project's latencies: those come
from loadtests/client.
"""
