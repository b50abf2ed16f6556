# -*- test-case-name: tests.app.test_profiles -*-
"""
Profiles as protocols ask for them.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.profiles import LiveProfiles
from lproxy.config import Service
from lproxy.discover.memory import Memory
from lproxy.discover.static import Static
from lproxy.profile import Profile, Route
from lproxy.target import Authority, OriginalDst, ServiceName

PROFILE = Profile((Route("a"),))


class LiveProfilesTests(SynchronousTestCase):
    def test_configured(self) -> None:
        """A service's own profile is that of its authority and of its name."""
        services = {"web:80": Service(name="web:80", profile=PROFILE), "app:80": Service(name="app:80")}
        profiles = LiveProfiles(Static(services, Memory()).find)
        self.assertIs(PROFILE, profiles.of(Authority("web", 80)))
        self.assertIs(PROFILE, profiles.of(ServiceName("web:80")))
        for target in (Authority("app", 80), Authority("else", 80), OriginalDst("10.0.0.1", 80)):
            self.assertIsNone(profiles.of(target))
