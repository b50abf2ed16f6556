"""
Measure lproxy beside nginx, HAProxy and Envoy, in one run, on one machine.

C{python -m benchmark --help} says how. The modules, from the bottom up:

 - C{measure}: what a process tree costs (CPU, memory) and whether a run was disturbed.
 - C{process}: start, watch and stop one process on one core; free ports.
 - C{clients}: our own load programs, each a process of its own that prints one JSON object.
 - C{load}: put load on an address for so many seconds and say what got through.
 - C{peers}: the proxies under test, their configuration files and their command lines.
 - C{upstreams}: what stands behind the proxies.
 - C{scenarios}: one question each: which load, through which listener, and which figures come out.
 - C{session}: every scenario x proxy x round, interleaved; one L{session.Run} each.
 - C{report}: medians, ratios, the printed table, the JSON file.

Nothing here is imported by lproxy.
"""
