"""
Profiles of services from files: what Linkerd's C{ServiceProfile} and the routes of the Gateway API say, as values of
L{lproxy.profile}.
"""

from __future__ import annotations

from typing import Final

#: the ends of names that files in folders have to have
ENDS: Final = (".yaml", ".yml", ".json")
