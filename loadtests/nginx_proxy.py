"""nginx as Debian ships it, proxying to the bare functions: what a common reverse proxy adds to the same server."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from loadtests.baselines import Target, free_port, running, wait_for_200
from loadtests.placement import UNPINNED, Placement
from loadtests.process_cost import descendants
from loadtests.program import Program

CONFIGURATION = """\
daemon off;
worker_processes {workers};
pid /tmp/proxy.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
{sites}}}
"""
SITE = """\
    upstream {name} {{
        server 127.0.0.1:{upstream};
        keepalive 128;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://{name};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""
CONFIGURATION_FILE = "etc/nginx/proxy.conf"


def configuration(upstreams: Mapping[str, int], ports: Mapping[str, int], *, workers: str) -> str:
    """nginx's configuration: one port for each function, upstream connections kept, all else as by default."""
    sites = [
        SITE.format(name=name.replace("-", "_"), upstream=upstream, port=ports[name])
        for name, upstream in upstreams.items()
    ]
    return CONFIGURATION.format(workers=workers, sites="".join(sites))


@contextmanager
def proxies(
    program: Program, bare: Mapping[str, Target], placement: Placement
) -> Iterator[dict[str, Target]]:
    """Runs one nginx before all bare functions; `program` is the one of the nginx image.

    One worker on one core; where nothing is pinned as many as there are cores, nginx's own choice.
    """
    if program.root is None:
        raise ValueError("nginx runs in the root of its image")
    upstreams = {name: urlsplit(target.url).port or 80 for name, target in bare.items()}
    ports = {name: free_port() for name in bare}
    workers = "auto" if placement in UNPINNED else "1"
    path = program.root / CONFIGURATION_FILE
    path.write_text(configuration(upstreams, ports, workers=workers))
    argv = (*program.argv, "-c", f"/{CONFIGURATION_FILE}")
    with running(replace(program, argv=argv, configuration=""), 0) as process:
        for port in ports.values():
            wait_for_200("127.0.0.1", port, process)
        yield {
            name: Target("nginx", f"http://127.0.0.1:{ports[name]}/", _family(process.pid, target))
            for name, target in bare.items()
        }


def _family(pid: int, behind: Target) -> Callable[[], dict[str, list[int]]]:
    return lambda: {"proxy": descendants([pid]), **behind.processes()}
