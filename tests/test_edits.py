# -*- test-case-name: tests.test_edits -*-
"""
Tests for L{lproxy.edits}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.edits import bad_host, bad_path, bad_prefix, bad_status, bad_value, forbidden


class FieldTests(SynchronousTestCase):
    """Names and values of fields."""

    def test_allowed(self) -> None:
        """Whatever is a message's own may be edited, however it is spelt."""
        for name in (
            "X-Team",
            "x-forwarded-for",
            "Server",
            "cookie",
            "Set-Cookie",
            "authorization",
            "a",
            "!#$%&'*+-.^",
        ):
            self.assertEqual("", forbidden(name))

    def test_of_connection(self) -> None:
        """What belongs to a connection, or frames a message, is no edit's."""
        for name in ("Connection", "keep-alive", "Proxy-Connection", "TE", "Upgrade", "Proxy-Authorization"):
            self.assertIn("one connection", forbidden(name))
        for name in ("Content-Length", "TRANSFER-ENCODING", "Expect"):
            self.assertIn("where a message ends", forbidden(name))

    def test_host(self) -> None:
        """Host has a way of its own."""
        self.assertIn("rewrite", forbidden("hOST"))

    def test_mesh(self) -> None:
        """Nobody speaks for lproxy, not even with an underscore."""
        for name in ("l5d-client-id", "L5D-Retry-Attempt", "l5d_client_id"):
            self.assertIn("lproxy's own", forbidden(name))

    def test_no_name(self) -> None:
        """A name is a token."""
        for name in ("", ":path", "a b", "a:", "n\u00e4me", "a\r\nb", "a\0", '"a"', "a/b"):
            self.assertIn("no name", forbidden(name))

    def test_values(self) -> None:
        """A value has no line's end in it, and no blanks around it; it may be empty."""
        for value in ("", "a", "a b\tc", "caf\u00e9", "a" * 10_000):
            self.assertEqual("", bad_value(value))
        for value in ("a\r\nSet-Cookie: b", "a\n", "\0", "\x7f", "a\x0bb"):
            self.assertIn("control", bad_value(value))
        for value in (" a", "a ", "\ta"):
            self.assertIn("blank", bad_value(value))


class TargetTests(SynchronousTestCase):
    """Paths, hosts and statuses."""

    def test_paths(self) -> None:
        """A path begins with a slash and is escaped."""
        for path in ("/", "/a/b", "//a", "/%2F", "/a;b=1,2", "/~me/@x:y!$&'()*+"):
            self.assertEqual("", bad_path(path))
        for path in ("", "a", "*", "http://a/"):
            self.assertIn("begin with /", bad_path(path))
        for path in ("/a?b", "/a#b"):
            self.assertIn("path alone", bad_path(path))
        for path, escape in (
            ("/a b", "%20"),
            ("/\u00e9", "%C3%A9"),
            ("/a\r\n", "%0D"),
            ("/%zz", "%25"),
            ("/%2", "%25"),
        ):
            self.assertIn(escape, bad_path(path))

    def test_prefixes(self) -> None:
        """A prefix may be nothing as well."""
        self.assertEqual("", bad_prefix(""))
        self.assertEqual("", bad_prefix("/a"))
        self.assertIn("begin with /", bad_prefix("a"))

    def test_hosts(self) -> None:
        """A host is a name or an address, and may have a port."""
        for host in ("web", "web.local", "web_1.local:80", "10.0.0.1", "10.0.0.1:65535", "[::1]", "[::1]:8080", "a."):
            self.assertEqual("", bad_host(host))
        for host in ("", "a b", "a/b", "a@b", "http://a", "a:b", "::1", "a:", "a\r\n", "-a", "caf\u00e9"):
            self.assertEqual("is no host", bad_host(host))
        self.assertIn("0", bad_host("a:0"))
        self.assertIn("65535", bad_host("a:65536"))

    def test_statuses(self) -> None:
        """An interim answer is none, and of the redirects are those that say where to."""
        self.assertEqual("", bad_status(200) + bad_status(404) + bad_status(599))
        for status in (0, 101, 199, 600, -1):
            self.assertIn("200 to 599", bad_status(status))
        self.assertEqual("", bad_status(308, redirect=True))
        for status in (200, 300, 304, 305):
            self.assertIn("301, 302, 303, 307, 308", bad_status(status, redirect=True))
