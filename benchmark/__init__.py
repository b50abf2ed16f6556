"""
Measure lproxy beside nginx, HAProxy, Envoy and Twisted's own proxies, in one run, on one machine.

C{python -m benchmark --help} says how. The modules, from the bottom up:

 - C{metrics}: every figure's name and unit. C{settings}: how long, how often, how much.
 - C{measure}: what a process tree costs (CPU, memory) and whether a run was disturbed. C{leaks}: what it left behind.
 - C{process}: start, watch and stop one process on one core; free ports.
 - C{clients}: our own load programs, each a process of its own that prints one JSON object.
 - C{load}: put load on an address for so many seconds and say what got through.
 - C{certificates}: keys and certificates of a run. C{together}: several commands as one process tree.
 - C{ways}: listeners with TLS and HTTP/2, the same for every proxy. C{observed}: logs, traces and ids likewise, and
   C{collector} who takes them.
 - C{peer}: a proxy under test as a value. C{peers}: those that there are, their configuration files and command lines.
   C{stock} is one more, and C{branches} makes one of any git revision.
 - C{upstreams}: what stands behind the proxies.
 - C{scenarios}: one question each: which load, through which listener, and which figures come out. C{tls}, C{http2},
   C{profiles}, C{tail}, C{observing} and C{kafka} have more, and C{fortio} makes them for the C{matrix} of numbers and
   reactors.
 - C{session}: every scenario x proxy x round, interleaved; one L{session.Run} each. C{profile}, C{flame}: once more,
   under a profiler.
 - C{report}: the printed tables. C{folder}: what is kept. C{summary}: a line per scenario and proxy.
   C{pairs}: what of two of them belongs together.
 - C{plot}, C{compare}, C{page}, C{rst}: pictures, differences, a page, tables for a document, of summaries alone.
 - C{options}: the command line.

Nothing here is imported by lproxy.
"""
