# -*- test-case-name: tests.protocols.http.h2.test_hpack -*-
"""
The examples of RFC 7541, C.3 to C.6: field sections in hexadecimal and what they say, one connection after another.
"""

from __future__ import annotations

_FIRST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
_SECOND = [*_FIRST, (b"cache-control", b"no-cache")]
_THIRD = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    (b":authority", b"www.example.com"),
    (b"custom-key", b"custom-value"),
]
REQUESTS = (
    [
        ("828684410f7777772e6578616d706c652e636f6d", _FIRST),
        ("828684be58086e6f2d6361636865", _SECOND),
        ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", _THIRD),
    ],
    [
        ("828684418cf1e3c2e5f23a6ba0ab90f4ff", _FIRST),
        ("828684be5886a8eb10649cbf", _SECOND),
        ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", _THIRD),
    ],
)

_BASE = [
    (b"cache-control", b"private"),
    (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT"),
    (b"location", b"https://www.example.com"),
]
_ANSWERS = (
    [(b":status", b"302"), *_BASE],
    [(b":status", b"307"), *_BASE],
    [
        (b":status", b"200"),
        (b"cache-control", b"private"),
        (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT"),
        (b"location", b"https://www.example.com"),
        (b"content-encoding", b"gzip"),
        (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
)
#: with a table of 256 bytes, so that entries give way
EVICTING_ANSWERS = (
    [
        (
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
            "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
            _ANSWERS[0],
        ),
        ("4803333037c1c0bf", _ANSWERS[1]),
        (
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d"
            "4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20766572"
            "73696f6e3d31",
            _ANSWERS[2],
        ),
    ],
    [
        (
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b"
            "97c8e9ae82ae43d3",
            _ANSWERS[0],
        ),
        ("4883640effc1c0bf", _ANSWERS[1]),
        (
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdf"
            "cd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
            _ANSWERS[2],
        ),
    ],
)
