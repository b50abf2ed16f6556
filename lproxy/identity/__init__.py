"""
Who is at each end of a connection: certificates, the names in them, and what OpenSSL is told of both.

No sockets and no handshakes here, those are C{lproxy.transport.tls}; nothing of X.509 is read or made by hand.
"""
