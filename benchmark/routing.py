# -*- test-case-name: tests.benchmark.test_routing -*-
"""
Twenty routes by paths, as each proxy is told of them: ten by a prefix, ten by a regular expression.

The requests of the load have the last of them, so that whoever looks at one after the other looks at all. They lead to
where everything leads: to tell requests apart is all that is measured.
"""

#: what the load's paths are like (L{benchmark.load.http})
LAST = "/item/[0-9a-f]+"
PREFIXES = [f"/shop{n}" for n in range(10)]
EXPRESSIONS = [*(f"/users/[^/]+/carts{n}/[0-9]+" for n in range(9)), LAST]

LPROXY = """
[services."{name}".routes.{route}]
match = {{ {kind} = "{value}" }}
"""


def lproxy(name: str) -> str:
    """Tables, of the service C{name}."""
    routes = [("path_prefix", value) for value in PREFIXES] + [("path_regex", value) for value in EXPRESSIONS]
    return "".join(
        LPROXY.format(name=name, route=f"r{number}", kind=kind, value=value)
        for number, (kind, value) in enumerate(routes)
    )


def nginx(back: str) -> str:
    """Locations, each with what C{back} says."""
    prefixes = "".join(f"\n    location {value}/ {{ {back} }}" for value in PREFIXES)
    return prefixes + "".join(f'\n    location ~ "^{value}$" {{ {back} }}' for value in EXPRESSIONS)


def haproxy(name: str) -> str:
    """Rules of a frontend, to the backend C{name}."""
    prefixes = "".join(f"  use_backend {name} if {{ path_beg {value}/ }}\n" for value in PREFIXES)
    return prefixes + "".join(f"  use_backend {name} if {{ path_reg ^{value}$ }}\n" for value in EXPRESSIONS)


def envoy(name: str) -> str:
    """Elements of a virtual host's routes, to the cluster C{name}; each ends with a comma."""
    prefixes = [f'path_separated_prefix: "{value}"' for value in PREFIXES]
    expressions = [f'safe_regex: {{regex: "{value}"}}' for value in EXPRESSIONS]
    return "".join(f"{{match: {{{match}}}, route: {{cluster: {name}}}}}, " for match in prefixes + expressions)
