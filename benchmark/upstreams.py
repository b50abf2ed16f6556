"""
What stands behind the proxies, all on the load core: nginx (HTTP, of either version), iperf3 (bulk TCP), an echo server
(short TCP) and a gRPC server that sends every message back.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.process import HOST, client_command, free_ports, running
from benchmark.settings import Settings

#: 20 bytes for every path but those below C{/bulk/}
ANSWER = "01234567890123456789"
#: bytes of what stands there
BULK = 10_000_000

NGINX = """\
{user}worker_processes 1; daemon off; pid "{directory}/upstream.pid"; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path "{directory}/tmp"; proxy_temp_path "{directory}/tmp"; fastcgi_temp_path "{directory}/tmp";
  uwsgi_temp_path "{directory}/tmp"; scgi_temp_path "{directory}/tmp";
  server {{
    listen {host}:{port} backlog=4096; listen {host}:{h2} http2 backlog=4096; http2_max_concurrent_streams 1024;
    location / {{ return 200 "{answer}"; }}
    location /bulk/ {{ root "{directory}"; rewrite .* /bulk.bin break; }}
  }}
}}
"""


@dataclass(frozen=True)
class Upstreams:
    """
    The ports on which the upstreams listen; None where there is none.

    C{kafka}: proxy -> the port that it must listen on, for the broker's answers name it, and the broker's behind it.
    """

    http: int | None
    tcp: int | None
    echo: int | None
    kafka: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    h2: int | None = None
    grpc: int | None = None


@contextmanager
def upstreams(directory: Path, settings: Settings, proxies: Sequence[str]) -> Iterator[Upstreams]:
    """Every upstream whose tool exists, running until the end of the block; they care nothing for who is in front."""
    core = settings.load_core
    http, tcp, echo, h2, grpc = free_ports(5)
    tools = {tool for tool in ("nginx", "iperf3") if shutil.which(tool)}
    with ExitStack() as stack:
        if "nginx" in tools:
            config = directory / "upstream-nginx.conf"
            (directory / "bulk.bin").write_bytes(bytes(BULK))
            # started by root it would be nobody, who may not read what is in a private folder
            user = "" if os.geteuid() else "user root; "
            config.write_text(NGINX.format(user=user, directory=directory, host=HOST, port=http, h2=h2, answer=ANSWER))
            command = ["nginx", "-e", "stderr", "-c", str(config)]
            stack.enter_context(running("upstream nginx", command, core, directory / "upstream-nginx.log", [http, h2]))
        if "iperf3" in tools:
            command = ["iperf3", "--server", "--bind", HOST, "--port", str(tcp)]
            stack.enter_context(running("upstream iperf3", command, core, directory / "upstream-iperf3.log", [tcp]))
        for name, port in (("echo", echo), ("grpc", grpc)):
            command = client_command(name, str(port))
            stack.enter_context(running(f"upstream {name}", command, core, directory / f"upstream-{name}.log", [port]))
        web = (http, h2) if "nginx" in tools else (None, None)
        yield Upstreams(web[0], tcp if "iperf3" in tools else None, echo, h2=web[1], grpc=grpc)
