# -*- test-case-name: tests.benchmark.clients.test_h2 -*-
"""
HTTP/2 and gRPC calls without end: closed loop, a fixed rate, messages on open streams, or large answers.

 - C{calls}: on each connection so many calls at a time, the next when one is answered.
 - C{rate}: so many a second, whatever the answers do; latency counts from the instant at which a call was due.
 - C{messages}: on each stream one message at a time there and back, for as long as it takes.
 - C{bulk}: calls as above, whose answers are large; what counts is the bytes.

Every call has a path and a request id of its own. A call with C{--message} is gRPC's.
"""

import argparse
import gc
import time

from benchmark.clients.caller import GRACE_SECONDS, Answers, Caller, callers, message
from benchmark.clients.common import HOST, percentile, percentiles, print_result
from benchmark.clients.wire import DATA, END_STREAM, INITIAL_WINDOW_SIZE, RST_STREAM, frame


def calls(made: list[Caller], seconds: float, streams: int) -> dict[str, float]:
    """Closed loop, C{streams} at a time on each of the connections."""
    answers, clock = Answers(made), time.perf_counter
    begun: dict[tuple[Caller, int], float] = {}
    latencies: list[float] = []
    waiting = dict.fromkeys(made, streams)
    gc.collect()
    gc.disable()
    start = now = clock()
    end = start + seconds

    def fill(one: Caller) -> None:
        while waiting[one] and one.may_call():
            waiting[one] -= 1
            begun[one, one.call()] = now
        one.wire.flush()

    for one in made:
        fill(one)
    while now < end or (begun and now < end + GRACE_SECONDS):
        for one in answers.ready(0.2):
            before = answers.errors
            done = list(answers.ended(one))
            now = clock()
            latencies += [now - begun.pop((one, stream)) for stream in done]
            if answers.errors > before:
                # which ones is of no interest: what is worth nothing is told with its reason
                return result(latencies, now - start, answers.errors, made, answers)
            if now < end:
                waiting[one] += len(done)
                fill(one)
            else:
                one.wire.flush()
        now = clock()
    return result(latencies, now - start, answers.errors + len(begun), made, answers)


def result(
    latencies: list[float], elapsed: float, errors: int, made: list[Caller], answers: Answers
) -> dict[str, float]:
    """What is printed; answers of another length than the first are errors, too."""
    latencies.sort()
    missing = abs(len(latencies) * made[0].expected - answers.bodies)
    if missing and not errors:
        errors = max(1, missing // max(1, made[0].expected))
    return {
        "requests": len(latencies),
        "bytes": answers.bodies,
        "seconds": elapsed,
        **percentiles(latencies),
        "max_us": percentile(latencies, 100) * 1e6,
        "errors": errors,
    }


def rate(made: list[Caller], per_second: float, seconds: float) -> dict[str, float]:
    """Open loop, over the connections in turn; the C{requests} are those answered."""
    answers, clock = Answers(made), time.perf_counter
    due: dict[tuple[Caller, int], float] = {}
    latencies: list[float] = []
    interval, total, sent = 1.0 / per_second, int(per_second * seconds), 0
    gc.collect()
    gc.disable()
    start = last = clock() + 0.01
    end = start + seconds
    while True:
        now = clock()
        while sent < total and start + sent * interval <= now:
            one = made[sent % len(made)]
            if not one.may_call():
                break
            due[one, one.call()] = start + sent * interval
            one.wire.flush()
            sent += 1
        if (sent == total and not due) or now > end + GRACE_SECONDS:
            break
        left = GRACE_SECONDS if sent == total else max(0.0, start + sent * interval - clock())
        for one in answers.ready(left):
            done = list(answers.ended(one))
            one.wire.flush()
            last = clock()
            latencies += [last - due.pop((one, stream)) for stream in done]
    return result(latencies, max(last - start, seconds), total - len(latencies), made, answers)


def messages(made: list[Caller], seconds: float, streams: int, size: int) -> dict[str, float]:
    """
    Open streams, on each a message there and back, then the next; C{requests} are messages that came back.

    Windows are kept: a stream whose window is shut sends when it is open again.
    """
    clock, one_message = time.perf_counter, message(size)
    answers, latencies, errors = Answers(made), list[float](), 0
    sent: dict[tuple[Caller, int], float] = {}
    held: dict[Caller, list[int]] = {one: [] for one in made}
    got: dict[tuple[Caller, int], int] = {}
    gc.collect()
    gc.disable()
    start = now = clock()
    end = start + seconds

    def send(one: Caller, stream: int) -> None:
        wire = one.wire
        if min(wire.window, wire.credit[stream]) < len(one_message):
            held[one].append(stream)
            return
        wire.window -= len(one_message)
        wire.credit[stream] -= len(one_message)
        wire.out += frame(DATA, 0, stream, one_message)
        sent[one, stream] = now

    for one in made:
        for _ in range(streams):
            stream = one.open(b"", False)
            one.wire.credit[stream] = one.wire.peer[INITIAL_WINDOW_SIZE]
            got[one, stream] = 0
            send(one, stream)
        one.wire.flush()
    while (now := clock()) < end + GRACE_SECONDS and (now < end or sent):
        for one in answers.ready(0.2):
            for kind, flags, stream, payload in one.wire.read():
                if kind == DATA:
                    got[one, stream] = whole = got[one, stream] + len(payload)
                    if whole < len(one_message):
                        continue
                    got[one, stream] = 0
                    now = clock()
                    latencies.append(now - sent.pop((one, stream)))
                    answers.bodies += whole
                    if now < end:
                        send(one, stream)
                elif kind == RST_STREAM or flags & END_STREAM:
                    errors += 1
                    sent.pop((one, stream), None)
            waiting, held[one] = held[one], []
            for stream in waiting:
                send(one, stream)
            one.wire.flush()
    made[0].expected = len(one_message)
    return result(latencies, now - start, errors + len(sent), made, answers)


def main() -> None:
    parser = argparse.ArgumentParser(description=f"HTTP/2 calls to a port of {HOST}.")
    parser.add_argument("how", choices=("calls", "rate", "messages"))
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=10, help="calls at a time on each connection")
    parser.add_argument("--rate", type=float, default=1000.0, help="calls per second")
    parser.add_argument("--message", type=int, help="bytes of a gRPC message; without it, calls are GET requests")
    parser.add_argument("--path", default="/item/", help="what every path begins with")
    options = parser.parse_args()
    sent = b"" if options.message is None else message(options.message)
    made = callers(options.connections, options.port, options.path.encode(), sent)
    if options.how == "rate":
        print_result(rate(made, options.rate, options.seconds))
    elif options.how == "messages":
        print_result(messages(made, options.seconds, options.streams, options.message or 0))
    else:
        print_result(calls(made, options.seconds, options.streams))


if __name__ == "__main__":
    main()
