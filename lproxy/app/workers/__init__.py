"""
The proxy as several processes, C{workers = N}: how they come to be, and how they are one to whoever looks.

 - C{cores}: how many. C{portion}: what part of the proxy's limits each has.
 - C{launch}: the process that was started binds every address, and becomes the supervisor (L{lproxy.supervise}).
 - C{worker}, C{supervised}: a worker's side of what it has to do with its supervisor, and what that means to its proxy.
 - C{sibling}, C{together}, C{joined}: whichever worker the admin server's pages are asked of, it asks the others, and
   shows the sum. C{tapped}: what ends in any of them, as it does. C{ledger}: what each has counted, in memory that
   outlives it.
"""
