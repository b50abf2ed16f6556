"""
Does lproxy lose anything that it need not? C{python -m benchmark.endurance} counts.

Clients of every protocol talk through one lproxy all the time, and count what they began, what was done, and what was
lost, and why; meanwhile it is reloaded, taken over, its workers are killed, its file changes, its disk is full.
Afterwards there are to be as many processes, descriptors and as much memory as before.
"""
