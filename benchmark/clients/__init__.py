"""
Load programs that no common tool offers, and the echo upstream: C{python -m benchmark.clients.NAME --help}.

Each is a process of its own, so that it can be pinned beside the upstream and away from the proxy.
"""
