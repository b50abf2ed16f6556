# -*- test-case-name: tests.transport.proxy_protocol -*-
"""
The PROXY protocol of HAProxy, versions 1 and 2: a header before all else, in which a proxy says for whom it connects.
"""
