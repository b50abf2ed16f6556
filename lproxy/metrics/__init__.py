"""
What is counted, and how Prometheus reads it.

 - C{counters}: plain integers in slotted objects, for the data path. C{family}: what a family of metrics is, as of one
   scrape. C{caps}, C{series}: how many label values and label sets there may be, and when they go.
 - C{transport}, C{detection}, C{acquisition}, C{endpoints}, C{process}: lproxy's own families. A
   protocol's stand in its own folder.
 - C{merge}: the families of plugins, contained; C{past}: what those of configurations that are gone have counted.
   C{exposition}: the text format. C{registry}: all of it together.

The floors below (stack, transport, protocols) import the first four and nothing else of this.
"""
