"""
What stands behind the proxies, all on the load core: nginx (HTTP), iperf3 (bulk TCP) and an echo server (short TCP).
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.process import HOST, client_command, free_ports, running
from benchmark.settings import Settings

#: 20 bytes for every path
ANSWER = "01234567890123456789"

NGINX = """\
worker_processes 1; daemon off; pid "{directory}/upstream.pid"; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path "{directory}/tmp"; proxy_temp_path "{directory}/tmp"; fastcgi_temp_path "{directory}/tmp";
  uwsgi_temp_path "{directory}/tmp"; scgi_temp_path "{directory}/tmp";
  server {{ listen {host}:{port} backlog=4096; location / {{ return 200 "{answer}"; }} }}
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


@contextmanager
def upstreams(directory: Path, settings: Settings, proxies: Sequence[str]) -> Iterator[Upstreams]:
    """Every upstream whose tool exists, running until the end of the block; they care nothing for who is in front."""
    core = settings.load_core
    http, tcp, echo = free_ports(3)
    tools = {tool for tool in ("nginx", "iperf3") if shutil.which(tool)}
    with ExitStack() as stack:
        if "nginx" in tools:
            config = directory / "upstream-nginx.conf"
            config.write_text(NGINX.format(directory=directory, host=HOST, port=http, answer=ANSWER))
            command = ["nginx", "-e", "stderr", "-c", str(config)]
            stack.enter_context(running("upstream nginx", command, core, directory / "upstream-nginx.log", [http]))
        if "iperf3" in tools:
            command = ["iperf3", "--server", "--bind", HOST, "--port", str(tcp)]
            stack.enter_context(running("upstream iperf3", command, core, directory / "upstream-iperf3.log", [tcp]))
        command = client_command("echo", str(echo))
        stack.enter_context(running("upstream echo", command, core, directory / "upstream-echo.log", [echo]))
        yield Upstreams(http if "nginx" in tools else None, tcp if "iperf3" in tools else None, echo)
