# -*- test-case-name: tests.sidecar -*-
"""
lproxy beside an application: what the kernel is told (C{lproxy iptables}) and what Kubernetes is (C{lproxy inject}).

Commands, not a part of the proxy: nothing here runs in its process, and nothing of its process is imported here.
"""
