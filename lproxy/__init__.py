"""lproxy: a protocol-pluggable service proxy on Twisted."""

__version__ = "0.1.0"
