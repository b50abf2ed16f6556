# -*- test-case-name: tests.protocols.kafka.codec.test_tally -*-
"""
What brokers complain of in responses to Produce and Fetch: error codes, and how long clients are to be quiet.

Source: C{Errors.java} of Apache Kafka 4.1, for the names.
"""

from __future__ import annotations

from typing import Final

#: distinct error codes of one API and client that are told apart; brokers have some 130, of which few are in use
MOST: Final = 50
#: what further ones count as
OTHER: Final = "other"

#: those that Produce and Fetch have; others are told by their numbers
NAMES: Final[dict[int, str]] = {
    -1: "UNKNOWN_SERVER_ERROR",
    1: "OFFSET_OUT_OF_RANGE",
    2: "CORRUPT_MESSAGE",
    3: "UNKNOWN_TOPIC_OR_PARTITION",
    5: "LEADER_NOT_AVAILABLE",
    6: "NOT_LEADER_OR_FOLLOWER",
    7: "REQUEST_TIMED_OUT",
    9: "REPLICA_NOT_AVAILABLE",
    10: "MESSAGE_TOO_LARGE",
    17: "INVALID_TOPIC_EXCEPTION",
    18: "RECORD_LIST_TOO_LARGE",
    19: "NOT_ENOUGH_REPLICAS",
    20: "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    21: "INVALID_REQUIRED_ACKS",
    29: "TOPIC_AUTHORIZATION_FAILED",
    31: "CLUSTER_AUTHORIZATION_FAILED",
    32: "INVALID_TIMESTAMP",
    43: "UNSUPPORTED_FOR_MESSAGE_FORMAT",
    45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    46: "DUPLICATE_SEQUENCE_NUMBER",
    47: "INVALID_PRODUCER_EPOCH",
    48: "INVALID_TXN_STATE",
    53: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    56: "KAFKA_STORAGE_ERROR",
    59: "UNKNOWN_PRODUCER_ID",
    70: "FETCH_SESSION_ID_NOT_FOUND",
    71: "INVALID_FETCH_SESSION_EPOCH",
    74: "FENCED_LEADER_EPOCH",
    75: "UNKNOWN_LEADER_EPOCH",
    76: "UNSUPPORTED_COMPRESSION_TYPE",
    78: "OFFSET_NOT_AVAILABLE",
    87: "INVALID_RECORD",
    90: "PRODUCER_FENCED",
    100: "UNKNOWN_TOPIC_ID",
    103: "INCONSISTENT_TOPIC_ID",
    106: "FETCH_SESSION_TOPIC_ID_ERROR",
}


class Tally:
    """
    The complaints in the responses to one API, perhaps of one client.

    @ivar errors: how often each was said, by name; of a response as a whole, and of each partition in it
    @ivar throttled: seconds for which clients were told to be quiet, summed up
    """

    __slots__ = ("errors", "throttled")

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}
        self.throttled = 0.0

    def error(self, code: int) -> None:
        """C{code} was said, 0 being none."""
        if not code:
            return
        name = NAMES.get(code) or str(code)
        if name not in self.errors and len(self.errors) >= MOST:
            name = OTHER
        self.errors[name] = self.errors.get(name, 0) + 1

    def throttle(self, milliseconds: int) -> None:
        """A response says so."""
        self.throttled += max(milliseconds, 0) / 1000
