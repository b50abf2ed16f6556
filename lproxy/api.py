# -*- test-case-name: tests.test_api -*-
"""
All that the author of a plugin imports. C{docs/plugins.rst} is the guided tour; lproxy's own protocols use the same.

lproxy guarantees:

 1. C{configure} is called before C{factory}, once for the file's own table and once for each listener that
    overrides it, by a reload in a thread of its own; what it returns is passed to C{factory} unchanged. (To see whether
    the plugin works at all, C{configure} is also called with an empty table, and C{detector} with a few openings, when
    plugins are looked for.)
 2. C{factory} is called once for each listener that names the protocol, before the listener opens; then the factory's
    C{start}, and when the last session of the listener is over, C{stop}. A new configuration has new factories.
 3. A L{Detector} is called with every byte that the client has sent so far, at most C{limits.detect} of them,
    and never again for a connection after an answer other than L{NeedMore}. What it matched, and in which variant,
    is told to the factory.
 4. C{session(accepted)} makes a session, which is entered into C{runtime.sessions}, and then started.
    C{accepted.prefix} has the very bytes that the detector saw; the stream has the rest, in order.
 5. Calls into a session and a reader of a stream come from the reactor's thread and never overlap, but they may nest: a
    stream that is closed or aborted tells its reader C{connection_lost} before that returns.
 6. An exception in any of these, whatever its class, ends the one connection (or, in C{configure}, C{factory} and
    C{start}, names the plugin in the configuration's errors). It is logged once with the plugin's name and counted in
    C{plugin_errors_total}. One in a metric source or in C{describe} costs its rows. For what a timer or a Deferred
    is to call there is C{runtime.contained}.
 7. A lease is ended exactly once, by C{close}; C{call} is called at most once before that. Closing the lease of a
    connection closes the connection. A Deferred of an acquisition may be cancelled at any time.
"""

from __future__ import annotations

from lproxy.balancing import HealthCheck
from lproxy.configfile import Demands, Refused, Wrong, read_own
from lproxy.errors import ProxyError, explain, judge, one_line
from lproxy.metrics.caps import Cap
from lproxy.metrics.counters import SECONDS, Histogram
from lproxy.metrics.family import Family, Labels
from lproxy.metrics.series import Counted, Series
from lproxy.protocols.connection import ConnectionClient, ConnectionLease, Upstream, let_go, rescue
from lproxy.protocols.outward import Counters, Outward
from lproxy.protocols.plugin import IProtocolPlugin
from lproxy.protocols.runtime import CannotExpose, Runtime, Sessions, fixed_target, whereabouts
from lproxy.protocols.session import Accepted, Explains, Session, SessionFactory
from lproxy.protocols.tcp.factory import TcpFactory
from lproxy.protocols.tcp.session import TcpSession
from lproxy.setting import setting
from lproxy.stack.interfaces import Acquire, EndpointService, Health, Hint, Lease, NewEndpoint, Stack
from lproxy.stack.lease import FREE, Hold, ended
from lproxy.stack.report import Report
from lproxy.stack.tried import tried
from lproxy.target import (
    UNKNOWN,
    Authority,
    Endpoint,
    Metadata,
    OriginalDst,
    Secure,
    ServiceName,
    Target,
    join_host_port,
    split_host_port,
)
from lproxy.transport.connect import ConnectFailed, Connector, ConnectTimedOut, LoopRefused
from lproxy.transport.relay import Direction, Flow, Relay
from lproxy.transport.stream import Address, Conn, Reader, Secured, Stream
from lproxy.transport.tap import Tap, TappedDirection, TappedRelay
from lproxy.verdict import Detector, Match, NeedMore, NoMatch, Verdict

__all__ = [
    "FREE",
    "SECONDS",
    "UNKNOWN",
    "Accepted",
    "Acquire",
    "Address",
    "Authority",
    "CannotExpose",
    "Cap",
    "Conn",
    "ConnectFailed",
    "ConnectTimedOut",
    "ConnectionClient",
    "ConnectionLease",
    "Connector",
    "Counted",
    "Counters",
    "Demands",
    "Detector",
    "Direction",
    "Endpoint",
    "EndpointService",
    "Explains",
    "Family",
    "Flow",
    "Health",
    "HealthCheck",
    "Hint",
    "Histogram",
    "Hold",
    "IProtocolPlugin",
    "Labels",
    "Lease",
    "LoopRefused",
    "Match",
    "Metadata",
    "NeedMore",
    "NewEndpoint",
    "NoMatch",
    "OriginalDst",
    "Outward",
    "ProxyError",
    "Reader",
    "Refused",
    "Relay",
    "Report",
    "Runtime",
    "Secure",
    "Secured",
    "Series",
    "ServiceName",
    "Session",
    "SessionFactory",
    "Sessions",
    "Stack",
    "Stream",
    "Tap",
    "TappedDirection",
    "TappedRelay",
    "Target",
    "TcpFactory",
    "TcpSession",
    "Upstream",
    "Verdict",
    "Wrong",
    "ended",
    "explain",
    "fixed_target",
    "join_host_port",
    "judge",
    "let_go",
    "one_line",
    "read_own",
    "rescue",
    "setting",
    "split_host_port",
    "tried",
    "whereabouts",
]
