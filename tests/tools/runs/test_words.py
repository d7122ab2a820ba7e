"""A command says what a user would type, and can be typed."""

import shlex
from pathlib import Path

from tools.runs.words import as_typed, bundle_command


def test_a_shell_reads_back_what_was_shown():
    command = bundle_command([Path("a"), Path("b c")], {"size": [4, 4], "loss": "@losses::dice", "word": "$x | y"})
    assert shlex.split(as_typed(command)) == command
