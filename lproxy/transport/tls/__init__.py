"""
TLS on sockets: the ClientHello that is looked at, handshakes, and the streams that come of them.

OpenSSL works on the socket itself, as what goes through memory costs half as much again. Whose certificate is shown and
whose is believed is for C{lproxy.identity} to say: a handshake is given a context of it.
"""
