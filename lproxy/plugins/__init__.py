"""
Where protocols are found: one provider of L{lproxy.api.IProtocolPlugin} in each module.

Other distributions ship a file in a directory C{lproxy/plugins/} of their own, without an C{__init__.py}; every such
directory on C{sys.path} is searched. C{docs/plugins.rst} shows how.
"""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []  # the files are looked at by twisted.plugin, never imported by name
