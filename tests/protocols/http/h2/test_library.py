# -*- test-case-name: tests.protocols.http.h2.test_library -*-
"""
Tests for L{lproxy.protocols.http.h2.library}.
"""

from __future__ import annotations

from h2.exceptions import DenialOfServiceError, FlowControlError, ProtocolError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.faults import (
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    FLOW,
    FLOW_CONTROL_ERROR,
    FRAME,
    HPACK,
    PROTOCOL_ERROR,
)
from lproxy.protocols.http.h2.library import as_fault, begin
from lproxy.protocols.http.h2.limits import Limits


class BeginTests(SynchronousTestCase):
    """Connections of the library."""

    def test_silent(self) -> None:
        """It has said nothing, and takes what its peer says after the preface."""
        for client in (True, False):
            connection = begin(client, Limits(stream_window=100, header_list=10))
            self.assertEqual(b"", connection.data_to_send())
            self.assertEqual(100, connection.local_settings.initial_window_size)
            self.assertEqual(40, connection.decoder.max_header_list_size)
            connection.receive_data(bytes.fromhex("000000040000000000"))


class FaultTests(SynchronousTestCase):
    """Its errors."""

    def test_codes(self) -> None:
        """Each gets the code and the word that the lane has for the same."""
        for error, code, reason in (
            (ProtocolError("x"), PROTOCOL_ERROR, FRAME),
            (FlowControlError("x"), FLOW_CONTROL_ERROR, FLOW),
            (DenialOfServiceError("x"), COMPRESSION_ERROR, HPACK),
            (ProtocolError("Error decoding header block: x"), COMPRESSION_ERROR, HPACK),
        ):
            fault = as_fault(error)
            self.assertEqual((code, reason, False), (fault.code, fault.reason, fault.flood))
        fault = as_fault(ProtocolError("Too many continuation frames received."))
        self.assertEqual((ENHANCE_YOUR_CALM, True), (fault.code, fault.flood))
