"""A command whose files may have so many KiB, as on a full disk: ``python -m tests.tools.limited KIB MODULE ...``."""

import resource
import runpy
import sys

limit = int(sys.argv[1])
if limit >= 0:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit * 1024, limit * 1024))
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
