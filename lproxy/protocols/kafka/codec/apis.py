# -*- test-case-name: tests.protocols.kafka.codec.test_apis -*-
"""
Kafka's requests: what each API key is called, how far its versions go, and from which on its encoding is flexible.

Flexible (KIP-482) is what decides the header: a request's has a tag buffer, version 2, and so has the response's,
version 1, but for the response to ApiVersions, which a client must be able to read before anything is agreed upon. The
versions are those of the message schemas of Apache Kafka 4.2 and of its trunk in June 2026, where a key is newer.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: name, newest version, first flexible version or C{None}; the position is the key
_TABLE: tuple[tuple[str, int, int | None], ...] = (
    ("Produce", 13, 9),
    ("Fetch", 18, 12),
    ("ListOffsets", 11, 6),
    ("Metadata", 13, 9),
    ("LeaderAndIsr", 7, 4),
    ("StopReplica", 4, 2),
    ("UpdateMetadata", 8, 6),
    ("ControlledShutdown", 3, 3),
    ("OffsetCommit", 10, 8),
    ("OffsetFetch", 10, 6),
    ("FindCoordinator", 6, 3),
    ("JoinGroup", 9, 6),
    ("Heartbeat", 4, 4),
    ("LeaveGroup", 5, 4),
    ("SyncGroup", 5, 4),
    ("DescribeGroups", 6, 5),
    ("ListGroups", 5, 3),
    ("SaslHandshake", 1, None),
    ("ApiVersions", 4, 3),
    ("CreateTopics", 7, 5),
    ("DeleteTopics", 6, 4),
    ("DeleteRecords", 2, 2),
    ("InitProducerId", 6, 2),
    ("OffsetForLeaderEpoch", 4, 4),
    ("AddPartitionsToTxn", 5, 3),
    ("AddOffsetsToTxn", 4, 3),
    ("EndTxn", 5, 3),
    ("WriteTxnMarkers", 2, 1),
    ("TxnOffsetCommit", 5, 3),
    ("DescribeAcls", 3, 2),
    ("CreateAcls", 3, 2),
    ("DeleteAcls", 3, 2),
    ("DescribeConfigs", 4, 4),
    ("AlterConfigs", 2, 2),
    ("AlterReplicaLogDirs", 2, 2),
    ("DescribeLogDirs", 5, 2),
    ("SaslAuthenticate", 2, 2),
    ("CreatePartitions", 3, 2),
    ("CreateDelegationToken", 3, 2),
    ("RenewDelegationToken", 2, 2),
    ("ExpireDelegationToken", 2, 2),
    ("DescribeDelegationToken", 3, 2),
    ("DeleteGroups", 2, 2),
    ("ElectLeaders", 2, 2),
    ("IncrementalAlterConfigs", 1, 1),
    ("AlterPartitionReassignments", 1, 0),
    ("ListPartitionReassignments", 0, 0),
    ("OffsetDelete", 0, None),
    ("DescribeClientQuotas", 1, 1),
    ("AlterClientQuotas", 1, 1),
    ("DescribeUserScramCredentials", 0, 0),
    ("AlterUserScramCredentials", 0, 0),
    ("Vote", 2, 0),
    ("BeginQuorumEpoch", 1, 1),
    ("EndQuorumEpoch", 1, 1),
    ("DescribeQuorum", 2, 0),
    ("AlterPartition", 3, 0),
    ("UpdateFeatures", 2, 0),
    ("Envelope", 0, 0),
    ("FetchSnapshot", 1, 0),
    ("DescribeCluster", 2, 0),
    ("DescribeProducers", 0, 0),
    ("BrokerRegistration", 4, 0),
    ("BrokerHeartbeat", 1, 0),
    ("UnregisterBroker", 0, 0),
    ("DescribeTransactions", 0, 0),
    ("ListTransactions", 2, 0),
    ("AllocateProducerIds", 0, 0),
    ("ConsumerGroupHeartbeat", 1, 0),
    ("ConsumerGroupDescribe", 1, 0),
    ("ControllerRegistration", 0, 0),
    ("GetTelemetrySubscriptions", 0, 0),
    ("PushTelemetry", 0, 0),
    ("AssignReplicasToDirs", 0, 0),
    ("ListConfigResources", 1, 0),
    ("DescribeTopicPartitions", 0, 0),
    ("ShareGroupHeartbeat", 1, 0),
    ("ShareGroupDescribe", 1, 0),
    ("ShareFetch", 2, 0),
    ("ShareAcknowledge", 2, 0),
    ("AddRaftVoter", 1, 0),
    ("RemoveRaftVoter", 0, 0),
    ("UpdateRaftVoter", 0, 0),
    ("InitializeShareGroupState", 0, 0),
    ("ReadShareGroupState", 0, 0),
    ("WriteShareGroupState", 1, 0),
    ("DeleteShareGroupState", 0, 0),
    ("ReadShareGroupStateSummary", 1, 0),
    ("StreamsGroupHeartbeat", 0, 0),
    ("StreamsGroupDescribe", 0, 0),
    ("DescribeShareGroupOffsets", 1, 0),
    ("AlterShareGroupOffsets", 0, 0),
    ("DeleteShareGroupOffsets", 0, 0),
    ("StreamsGroupTopologyDescriptionUpdate", 0, 0),
)


class Api(NamedTuple):
    """
    One kind of request.

    @ivar newest: the newest version that is known here
    @ivar flexible: the first version that is encoded flexibly, C{None} where none is
    """

    key: int
    name: str
    newest: int
    flexible: int | None

    def is_flexible(self, version: int) -> bool:
        """Whether a request of this version, and its response's body, are encoded flexibly."""
        return self.flexible is not None and version >= self.flexible

    def has_tagged_response(self, version: int) -> bool:
        """Whether the header of the response to this version ends with a tag buffer."""
        return self.key != API_VERSIONS and self.is_flexible(version)


#: all there are, by key
APIS: dict[int, Api] = {key: Api(key, *row) for key, row in enumerate(_TABLE)}
#: and by name
BY_NAME: dict[str, Api] = {api.name: api for api in APIS.values()}

PRODUCE: Final = 0
FETCH: Final = 1
METADATA: Final = 3
CONTROLLED_SHUTDOWN: Final = 7
FIND_COORDINATOR: Final = 10
SASL_HANDSHAKE: Final = 17
API_VERSIONS: Final = 18
SASL_AUTHENTICATE: Final = 36
DESCRIBE_QUORUM: Final = 55
DESCRIBE_CLUSTER: Final = 60

#: what metrics call whatever is not told apart
OTHER: Final = "other"


def label(key: int) -> str:
    """What a metric calls C{key}; vendors have keys of their own, from 10,000 on."""
    api = APIS.get(key)
    return OTHER if api is None else api.name
