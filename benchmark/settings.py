"""
What a session may be told: how long, how often, how much, and where.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Times in seconds."""

    warmup: float = 1.0
    seconds: float = 3.0
    rounds: int = 3
    rate: float = 2000.0
    idle: int = 10_000
    idle_settle: float = 1.0
    records: int = 400_000  #: of 1,000 bytes, for Kafka
    noise: float = 0.1  #: share of either core that others may use before a run is marked
    proxy_core: int = 0
    load_core: int = 1


#: to see that everything still works; its times mean nothing
TINY = Settings(warmup=0, seconds=0.5, rounds=1, idle=200, idle_settle=0.1, records=6_000, noise=1.0)
