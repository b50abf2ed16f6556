"""
Looking at a proxy, and telling it what to do, over HTTP.

 - C{site}, C{pages}, C{stream}: a small web kit on C{twisted.web}: whom a site answers to, kinds of pages, and long
   answers.
 - C{server}: the admin server: what the proxy is doing, for people (C{index}) and programs.
 - C{asking}: how another lproxy's admin server is asked.
 - C{sampler}, C{profiling}: the profile port: what the proxy spends its time on.
"""
