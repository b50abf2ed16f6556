"""
Several processes behind the same addresses, and one that looks after them.

 - C{supervisor}, C{slots}, C{rounds}: the light process that starts workers, replaces those that die or hang, and hands
   on what it is told. C{python -m lproxy.supervise}, which C{lproxy.app.workers.launch} turns its process into.
 - C{places}: the sockets of all workers, which outlive each of them.
 - C{channel}: how it and its workers talk; C{handover}: how one lproxy has its sockets from another.
 - C{loop}, C{out}, C{systemd}, C{spec}: its loop, its log, its manager, and what it is told when it starts.

All of it is Python's own library alone: the process is small, and nothing that clients send ever reaches it.
"""
