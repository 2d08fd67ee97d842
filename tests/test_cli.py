"""The command line itself: help, versions, and command lines that are not understood."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from tests.conftest import REPOSITORY
from unpaired.cli import app, main
from unpaired.core.version import __version__
from unpaired.systems.denoising.offers import FOR_NOISY_PICTURES
from unpaired.systems.denoising.short_training import methods_for_noisy

WIDTH = 80


def commands() -> dict[str, typer.models.CommandInfo]:
    """Return every command that does something, by the words that are typed for it."""
    found = {c.name or c.callback.__name__: c for c in app.registered_commands}
    for group in app.registered_groups:
        found |= {f"{group.name} {c.name}": c for c in group.typer_instance.registered_commands}
    return found


def command_of(name: str):
    """Return a command as click knows it."""
    found = typer.main.get_command(app)
    for word in name.split():
        found = found.commands[word]
    return found


def examples_of(name: str) -> list[str]:
    """Return the examples that a command's help shows."""
    return [
        line.strip()
        for line in command_of(name).epilog.splitlines()
        if line.startswith("  unpaired ")
    ]


def help_of(*words: str) -> str:
    done = CliRunner().invoke(app, [*words], env={"COLUMNS": str(WIDTH), "NO_COLOR": "1"})
    assert done.exit_code == 0, done.output
    return done.output


def run_main(monkeypatch, capsys, *words: str) -> tuple[int | None, str, str]:
    """Run the program as typed; return exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["unpaired", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code, *capsys.readouterr()


def whole_numbers() -> list[tuple[str, str, int]]:
    """Return command, option and least value of every option that takes a whole number."""
    found = []
    for name, command in commands().items():
        for key, hint in get_type_hints(command.callback, include_extras=True).items():
            kind, *about = get_args(hint) or (hint,)
            if kind in (int, int | None):
                found.append((name, f"--{key.replace('_', '-')}", about[0].min))
    return found


@pytest.mark.parametrize(("command", "option", "least"), whole_numbers())
def test_whole_numbers_have_a_least_value_and_others_are_one_line(
    monkeypatch, capsys, command, option, least
):
    for wrong in (least - 1, -(10**30), "word", "1.5"):
        code, out, err = run_main(monkeypatch, capsys, *command.split(), option, str(wrong))
        assert (code, out) == (2, "")
        assert err.startswith(f"error: Invalid value for '{option}")
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("ui --port", "80000"),
        ("features --side", "-5"),
        ("features --side", "1000000"),
        ("learn-translation --picture-px", "1000000000"),
        ("translate --samples", "1000000000"),
        ("transmit --steps", "1000000000"),
    ],
)
def test_huge_numbers_are_one_line(monkeypatch, capsys, command, value):
    code, _, err = run_main(monkeypatch, capsys, *command.split(), value)
    assert code == 2
    assert err.startswith(f"error: Invalid value for '{command.split()[-1]}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", commands())
def test_short_and_long_help_show_every_example_on_a_line_of_its_own(command):
    text = help_of(*command.split(), "-h")
    assert text == help_of(*command.split(), "--help")
    lines = [line.strip() for line in text.splitlines()]
    for example in examples_of(command):
        assert example in lines
        assert f"{example} ".startswith(f"unpaired {command} ")


@pytest.mark.parametrize("command", commands())
def test_examples_hold_no_option_that_the_command_lacks(command):
    text = help_of(*command.split(), "-h")
    for example in examples_of(command):
        for option in (word for word in example.split() if word.startswith("-")):
            assert f" {option} " in text.partition("Example")[0], option


@pytest.mark.parametrize("group", [[], ["data"], ["study"]])
def test_groups_have_short_help(group):
    assert help_of(*group, "-h") == help_of(*group, "--help")


@pytest.mark.parametrize("command", ["denoise", "compare"])
def test_the_methods_are_listed_on_a_line_each(command):
    lines = [line.strip() for line in help_of(command, "-h").splitlines()]
    for name, about in FOR_NOISY_PICTURES.items():
        assert any(line.split()[:1] == [name] and line.endswith(about) for line in lines), name


def test_every_method_that_can_be_chosen_is_described():
    assert set(FOR_NOISY_PICTURES) == set(methods_for_noisy())


def test_what_people_type_most_comes_first():
    listed = list(commands())
    assert listed[:5] == ["denoise", "compare", "colorize", "classify", "ui"]
    text = help_of("-h")
    assert text.index("denoise  ") < text.index("colorize  ") < text.index("distance  ")
    assert text.index("distance  ") < text.index("status  ") < text.index("study  ")
    assert "docs/index.md" in text.rpartition("╯")[2]


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version(option):
    assert help_of(option).strip() == __version__


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["denois", "x"], "did you mean 'denoise'?"),
        (["data", "chek"], "did you mean 'check'?"),
        (["frobnicate"], "no such command 'frobnicate'"),
        (["denoise", "x", "--ouput", "y"], "no such option: --ouput (possible options: --output)"),
        (["--verison"], "--version"),
        (["distance", "x"], "missing argument 'second'"),
        (["status", "--table", "one"], "invalid value for '--table'"),
        (["denoise", "x", "--output", "y", "--minutes", "long"], "invalid value for '--minutes'"),
    ],
)
def test_a_command_line_that_is_not_understood_is_one_line(monkeypatch, capsys, words, said):
    code, out, error = run_main(monkeypatch, capsys, *words)
    assert (code, out) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error.lower()
    assert "-h` shows how)" in error


def test_an_expected_error_is_one_line(monkeypatch, capsys, tmp_path):
    code, out, error = run_main(
        monkeypatch, capsys, "status", "--config", str(tmp_path / "none.yaml")
    )
    assert (code, out) == (1, "")
    assert error == f"error: {tmp_path}/none.yaml: no such file; run this in the project's " + (
        "folder, or name a file with --config\n"
    )


def test_no_arguments_show_help_and_no_error(monkeypatch, capsys):
    code, out, error = run_main(monkeypatch, capsys)
    assert code == 2
    assert "denoise" in out + error
    assert "error:" not in out + error


@pytest.mark.parametrize("words", [["-h"], ["denoise", "-h"], ["status"], ["data", "check", "-h"]])
def test_help_and_status_load_nothing_heavy(words):
    code = (
        "import sys; from unpaired.cli import app\n"
        f"app({words!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'timm', 'scipy', 'skimage', 'sklearn', 'matplotlib', 'h5py',"
        "  'imagecodecs'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import unpaired\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "sys.exit(str(new & {'torch', 'numpy', 'typer', 'pydantic', 'yaml'} or '') or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
