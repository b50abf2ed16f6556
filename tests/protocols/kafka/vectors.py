"""
First bytes of connections: Kafka's, and others' that resemble them, each with the byte by which it must be clear.
"""

from __future__ import annotations


def packed(text: str) -> bytes:
    """Bytes in hexadecimal, and words in double quotes."""
    return b"".join(
        part.encode() if index % 2 else bytes.fromhex(part.replace(" ", ""))
        for index, part in enumerate(text.split('"'))
    )


#: as they were captured
CLIENTS = {
    "kcat 1.7": '00000024 0012 0003 00000001 0007 "rdkafka" 00 0b "librdkafka" 06 "2.0.2" 00',
    "kcat without ApiVersions": '00000015 0003 0000 00000007 0007 "rdkafka" 00000000',
    "kafka-python 3.0": (
        '00000037 0012 0004 00000001 0017 "kafka-python-producer-1" 00 0d "kafka-python" 07 "3.0.12" 00'
    ),
    "kafka-python for 2.3": '00000021 0012 0002 00000001 0017 "kafka-python-producer-1"',
    "confluent-kafka 2.16": (
        '00000040 0012 0003 00000001 0007 "rdkafka" 00 17 "confluent-kafka-python" 16 "2.16.1-rdkafka-2.16.0" 00'
    ),
    "aiokafka 0.14": '0000001d 0012 0000 00000001 0013 "aiokafka-producer-1"',
    "Kafka 4.1's tools": '00000031 0012 0004 00000001 000d "adminclient-1" 00 12 "apache-kafka-java" 06 "4.1.0" 00',
}

#: what else may come first
YES = {
    "ApiVersions v0, null client id": "0000000a 0012 0000 00000001 ffff",
    "ApiVersions v0, empty client id": "0000000a 0012 0000 00000001 0000",
    "ApiVersions v5": '00000014 0012 0005 00000001 0006 "future" 00 01 01 00',
    "client id in UTF-8": '00000011 0012 0000 00000001 0007 "größe"',
    "Metadata v1, all topics": '0000000f 0003 0001 00000001 0001 "a" ffffffff',
    "Metadata v12": '00000011 0003 000c 00000001 0001 "a" 00 00 00 00 00 00',
    "Metadata v0, one topic": '00000012 0003 0000 00000001 0001 "a" 00000001 0001 "t"',
    "Metadata v0, 100,000 topics": '00040000 0003 0000 00000001 0001 "a" 000186a0',
    "ControlledShutdown v0": "0000000c 0007 0000 00000001 0000000a",
    "SaslHandshake v0": '00000012 0011 0000 00000001 0001 "a" 0005 "PLAIN"',
    "SaslHandshake v1, null client id": '00000019 0011 0001 00000001 ffff 000d "SCRAM-SHA-256"',
    "SaslHandshake, the longest name": '0000004c 0011 0001 00000001 0001 "a" 003f "' + "M" * 63 + '"',
    "Produce v0": '00000020 0000 0000 00000001 0001 "a" ffff 00007530 00000001 0001 "t" 00000001 00000000 00',
    "Produce v3, null transactional id": '00000030 0000 0003 00000001 0001 "a" ffff 0001 00007530 00000001 0001 "t"',
    "Produce v3, transactional": '00000030 0000 0003 00000001 0001 "a" 0002 "tx" ffff 00007530 00000001',
    "Produce v3, empty client id": "00000030 0000 0003 00000001 0000 ffff 0000 00007530 00000001",
    "Produce v9": '00000030 0000 0009 00000001 0001 "a" 00 00 ffff 00007530 02 02 "t"',
    "Produce v13, 2 MiB": '00200000 0000 000d 00000001 0001 "a" 00 03 "tx" ffff 00007530 02',
    "Fetch v4": '00000040 0001 0004 00000001 0001 "a" ffffffff 000001f4',
    "FindCoordinator v4": '00000014 000a 0004 00000001 0001 "a" 00 00 02 02 "g" 00',
}

#: what is not, and how many of its bytes are enough to know
NO = {
    "TLS hello": ("160301 00c8 01", 1),
    "TLS alert": ("1503030002 0228", 1),
    "HTTP": ('"GET / HTTP/1.1"', 1),
    "HTTP/2": ('"PRI * HTTP/2.0"', 1),
    "SSH": ('"SSH-2.0-x"', 1),
    "Redis": ('"*1" 0d0a "$4"', 1),
    "AMQP": ('"AMQP" 00000901', 1),
    "PostgreSQL SSLRequest": ("00000008 04d2162f", 5),
    "PostgreSQL GSSENCRequest": ("00000008 04d21630", 5),
    "PostgreSQL CancelRequest": ("00000010 04d2162e 00000001 00000002", 5),
    "PostgreSQL startup": ('00000029 00030000 "user" 00 "postgres" 00 "database" 00 "postgres" 0000', 14),
    "PostgreSQL startup, long": ('000000ab 00030000 "user" 00 "app" 00 "database" 00 "app" 00' + "61" * 140, 17),
    "PostgreSQL startup, long user": ('000000f7 00030000 "user" 00 "' + "u" * 63 + '" 00' + "61" * 160, 77),
    "PostgreSQL startup 3.2": ('000000e2 00030002 "user" 00 "u" 00' + "61" * 200, 15),
    "PostgreSQL startup, database first": ('00000022 00030000 "database" 00 "x" 00 "user" 00 "y" 0000', 14),
    "MongoDB": ("3a000000 01000000 00000000 dd070000", 1),
    "MongoDB, length of 256": ("00010000 03000000 00000000 dd070000", 5),
    "MongoDB, the worst": ("00120000 00030000 00000000 dd070000", 12),
    "ZooKeeper": ("0000002d 00000000 0000000000000000 00007530 0000000000000000 00000010" + "00" * 17, 14),
    "ZooKeeper's ruok": ('"ruok"', 1),
    "Thrift, strict": ('00000011 80010001 00000004 "ping" 00000000 00', 5),
    "Thrift, old ping": ('0000000e 00000004 "ping" 01 00000000 00', 14),
    "Thrift, old get": ('0000000d 00000003 "get" 01 00000000 00', 16),
    "Thrift, compact": ('0000000c 82210004 "ping" 00', 5),
    "Thrift, THeader": ("00000020 0fff0000 00000001", 5),
    "DNS": ('001dabcd 0100 0001 0000 0000 0000 03 "www"', 5),
    "DNS, no recursion": ('001dabcd 0000 0001 0000 0000 0000 03 "www"', 14),
    "DNS, root servers": ("0011 0000 0000 0001 0000 0000 0000 00 0002 0001", 14),
    "CQL": ("04000000 05 00000000", 1),
    "SOCKS4": ("04010050 00000001 00", 1),
    "SOCKS5": ("050100", 1),
    "RTMP": ("03" + "00" * 12, 1),
    "RDP": ("03000016 11e0", 1),
    "Pulsar": ("0000002a 00000026 0802", 8),
    "RocketMQ": ('00000060 0000005c "{"', 8),
    "SMB2": ("000000e0 fe534d42", 5),
    "Oracle": ("003a0000 01000000", 5),
    "OpenVPN": ("002a38a1 b2c3d4e5f6071829 00000000 00", 5),
    "HTTP/2 SETTINGS": ("000012 04 00 00000000 0003 00000064", 14),
    "gRPC": ("00000000 07", 4),
    "Modbus": ("00000000 0006 0103", 4),
    "zeros": ("00" * 8, 4),
    # a Kafka request, but for one thing
    "size of 7": ("00000007 0012 0000 000000", 4),
    "a size that ends within the header": ("00000009 0012 0000 00000001 ff", 9),
    "an unknown key": ('00000014 005e 0000 00000001 0001 "a" 00', 6),
    "a vendor's key": ('00000014 2710 0000 00000001 0001 "a" 00', 5),
    "a version far ahead": ('00000014 0012 0009 00000001 0001 "a" 00', 8),
    "a negative version": ('00000014 0012 8000 00000001 0001 "a" 00', 8),
    "a negative correlation id": ('00000014 0012 0000 80000001 0001 "a" 00', 9),
    "a client id beyond the frame": ('0000000b 0012 0000 00000001 0002 "ab"', 14),
    "a client id of 1,025 bytes": ("00001000 0003 0001 00000001 0401", 14),
    "a client id of length -2": ("0000000a 0012 0000 00000001 fffe", 14),
    "a client id with a line's end": ('0000000c 0012 0000 00000001 0002 "a" 0a', 16),
    "a client id with a delete": ('0000000c 0012 0000 00000001 0002 "a" 7f', 16),
    "a client id that ends within a character": ('0000000d 0012 0000 00000001 0003 "a" e282', 17),
    "a client id that is no UTF-8": ('0000000c 0012 0000 00000001 0002 "a" ff', 16),
    "tags in the first header": ('00000014 0012 0003 00000001 0001 "a" 01 00 00 00', 16),
    "no room for tags": ('0000000b 0001 000c 00000001 0001 "a" 00', 15),
    "ControlledShutdown v0 with a body": ("00000040 0007 0000 00000001 0000000a", 9),
    "ApiVersions v0 with a body": ('0000000c 0012 0000 00000001 0001 "a" 00', 15),
    "ApiVersions v3 without": ('0000000c 0012 0003 00000001 0001 "a" 00', 16),
    "ApiVersions v3, two bytes": ('0000000e 0012 0003 00000001 0001 "a" 00 01 01', 16),
    "a large ApiVersions": ('00200000 0012 0003 00000001 0001 "a" 00', 6),
    "a mechanism that does not end": ('00000012 0011 0001 00000001 0001 "a" 0006 "PLAIN"', 17),
    "a mechanism that ends early": ('00000012 0011 0001 00000001 0001 "a" 0004 "PLAIN"', 17),
    "a mechanism without a name": ('0000000d 0011 0001 00000001 0001 "a" 0000', 15),
    "a mechanism of 64 bytes": ('0000004d 0011 0001 00000001 0001 "a" 0040', 15),
    "Metadata v0, -1 topics": ('0000000f 0003 0000 00000001 0001 "a" ffffffff', 19),
    "Metadata v0, 100,001 topics": ('00040000 0003 0000 00000001 0001 "a" 000186a1', 19),
    "Metadata v0, too many topics": ('00000010 0003 0000 00000001 0001 "a" 00000010 00', 19),
    "Produce with acks=2": ('00000030 0000 0003 00000001 0001 "a" ffff 0002 00007530', 19),
    "Produce, a negative timeout": ('00000030 0000 0003 00000001 0001 "a" ffff 0001 ffffffff', 23),
    "Produce, a transactional id of length -2": ('00000030 0000 0003 00000001 0001 "a" fffe 0001 00007530', 17),
    "Produce, a transactional id beyond the frame": ('00000030 0000 0003 00000001 0001 "a" 0080 "tx"', 17),
    "Produce v9, a transactional id beyond the frame": ('00000030 0000 0009 00000001 0001 "a" 00 8101 "tx"', 18),
    "Produce, a transactional id of 8 KiB": ('00004000 0000 0003 00000001 0001 "a" 2000 "tx"', 17),
    "Produce, a frame that ends at acks": ('0000000f 0000 0003 00000001 0001 "a" ffff 0001', 19),
    "Produce v3, empty client id and no body": ("00000012 0000 0003 00000001 0000 ffff 0001 00007530", 22),
    "Produce v0, null client id": ("00000030 0000 0000 00000001 ffff ffff 00007530 00000001", 14),
    "Produce v0 without topics": ('00000030 0000 0000 00000001 0001 "a" ffff 00007530 00000000', 25),
}

#: too short to be told from Kafka, and answered by the deadline
UNDECIDED = {
    "EPMD": '00016e "node@host"'[:6],
    "CoAP": "00e1",
    "unfinished": "00000050 0003 0000 0000",
}
