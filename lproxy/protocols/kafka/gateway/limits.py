# -*- test-case-name: tests.protocols.kafka.gateway.test_limits -*-
"""
What a gateway lets clients ask for: only what is answered without a broker's address, or with one that is rewritten.
"""

from __future__ import annotations

from lproxy.protocols.kafka.codec.apis import APIS, BY_NAME, DESCRIBE_QUORUM, FETCH
from lproxy.protocols.kafka.gateway import quorum
from lproxy.protocols.kafka.gateway.rewrite import NEWEST

#: the newest version of every known API whose responses hold no address of a broker, or only such as are rewritten
NEWEST_VERSIONS: dict[int, int] = {
    **{key: api.newest for key, api in APIS.items()},
    **NEWEST,
    DESCRIBE_QUORUM: quorum.NEWEST,
    # from 16 on with node endpoints, behind as many megabytes of records as were asked for. What is lost is a hint
    # that saves clients a Metadata request (KIP-951)
    FETCH: 15,
}

#: APIs whose responses hold addresses that are not rewritten, or that no client has any business with
HIDDEN: frozenset[int] = frozenset(
    BY_NAME[name].key
    for name in (
        # between brokers, before KRaft; gone from Kafka 4.0
        "LeaderAndIsr",
        "StopReplica",
        "UpdateMetadata",
        "ControlledShutdown",
        # between controllers: the current leader's endpoint, at its controller listener
        "Vote",
        "BeginQuorumEpoch",
        "EndQuorumEpoch",
        "FetchSnapshot",
        "UpdateRaftVoter",
        # between broker and controller: any other request or answer is in it
        "Envelope",
        # node endpoints, behind records (ShareFetch) or not: nothing here walks them
        "ShareFetch",
        "ShareAcknowledge",
    )
)
