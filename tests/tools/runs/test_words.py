"""A command says what a user would type, and can be typed."""

import shlex
from pathlib import Path

import pytest

from tools.runs.words import as_typed, as_words, bundle_command, normal_key, top_key

RUN = ["python", "-m", "monai.bundle", "run"]


def test_one_config_is_a_path_and_several_are_a_list():
    assert bundle_command([Path("a/b.json")], {"fold": 1}) == [*RUN, "--config_file", "a/b.json", "--fold", "1"]
    assert bundle_command([Path("a"), Path("b")], {}, workflow="training") == [
        *(*RUN, "training", "--config_file", "['a','b']")
    ]


def test_several_processes_go_through_torchrun():
    command = " ".join(bundle_command([Path("a")], {}, workflow="training", num_processes=3))
    assert command == (
        "python -m torch.distributed.run --standalone --nproc_per_node 3 -m monai.bundle run training --config_file a"
    )


def test_a_shell_reads_back_what_was_shown():
    command = bundle_command([Path("a"), Path("b c")], {"size": [4, 4], "loss": "@losses::dice", "word": "$x | y"})
    assert shlex.split(as_typed(command)) == command


def test_overrides_keep_their_order():
    assert as_words({"b": True, "a": None}) == ["--b", "True", "--a", "None"]


@pytest.mark.parametrize("key", ["a#b#c", "a::b::c", "a#b::c"])
def test_parts_of_keys(key):
    assert normal_key(key) == "a#b#c" and top_key(key) == "a"
