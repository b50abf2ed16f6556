# -*- test-case-name: tests.supervise.test_reread -*-
"""
Read a file that was read before, and may be something else by now.

What is read once may be anything, such as what a shell writes into a pipe. Only a file can be read twice: whoever
opens a FIFO waits for its writer, perhaps for ever.
"""

from __future__ import annotations

import errno
import os
import stat


def reread(path: str, most: int) -> bytes:
    """
    What stands in the file at C{path}.

    @param most: bytes that are read
    @raise OSError: it cannot be read, or is no regular file
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            raise OSError(errno.EINVAL, "it is no regular file, and nothing else can be read twice")
        with open(fd, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(fd)
