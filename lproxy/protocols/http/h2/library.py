# -*- test-case-name: tests.protocols.http.h2.test_library -*-
"""
The h2 library, set up to be an engine's.
"""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import DenialOfServiceError, FlowControlError, ProtocolError
from h2.settings import SettingCodes, Settings

from lproxy.protocols.http.h2.engine import MAXIMUM, PREFACE
from lproxy.protocols.http.h2.faults import COMPRESSION_ERROR, FLOW, FRAME, HPACK, ConnectionFault
from lproxy.protocols.http.h2.guard import flood
from lproxy.protocols.http.h2.limits import Limits


def begin(client: bool, limits: Limits) -> H2Connection:
    """
    A connection past its beginning: what it would have said of itself is dropped, and was to be said otherwise.

    It validates nothing, as it would end the connection for it, and limits no streams.
    """
    connection = H2Connection(
        H2Configuration(
            client_side=client,
            header_encoding=None,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            validate_outbound_headers=False,
            split_outbound_cookies=True,
        )
    )
    connection.local_settings = Settings(
        client=client,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: MAXIMUM,
            SettingCodes.INITIAL_WINDOW_SIZE: limits.stream_window,
            SettingCodes.ENABLE_PUSH: 0,
        },
    )
    connection.decoder.max_header_list_size = 4 * limits.header_list
    connection.initiate_connection()
    connection.data_to_send()
    if not client:
        connection.receive_data(PREFACE)
    return connection


def as_fault(error: ProtocolError) -> ConnectionFault:
    """What h2 says, as the lane would."""
    detail = f"{type(error).__name__}: {error}"
    if "continuation" in detail:
        return flood("CONTINUATION frames")
    if isinstance(error, DenialOfServiceError) or "header block:" in detail:
        return ConnectionFault(COMPRESSION_ERROR, HPACK, detail)
    return ConnectionFault(int(error.error_code), FLOW if isinstance(error, FlowControlError) else FRAME, detail)
