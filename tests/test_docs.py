"""The documentation: what it takes from other files, and whether it builds without a warning."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec

import pytest
import typer
import yaml

from tests.conftest import REPOSITORY
from tests.test_cli import commands, examples_of
from unpaired.cli import UsageError, app
from unpaired.pipeline.command_line import refuse_malformed
from unpaired.pipeline.reference import tables as table_reference

DOCS = REPOSITORY / "docs"
TABLES = [str(number) for number in range(1, 21)]


def test_every_table_has_a_page():
    numbers = {path.stem[5:] for path in (REPOSITORY / "config/tables").glob("table*.yaml")}
    assert numbers == set(TABLES)
    for number in numbers:
        assert f"<!-- rows: {number} -->" in (DOCS / f"table{number}.md").read_text()


def test_every_page_says_which_table_of_which_paper_it_is():
    listed = table_reference.tables()
    for number in TABLES:
        table = table_reference.table(number)
        assert (DOCS / f"table{number}.md").read_text().startswith(f"# {table.name}: ")
        assert f"[Table {number}](table{number}.md)" in listed
        assert f" {table.source} " in listed


def test_every_picture_of_a_page_is_there_and_small():
    for page in DOCS.glob("*.md"):
        for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text()):
            assert (DOCS / name).is_file(), f"{page.name}: {name}"
    for picture in DOCS.glob("table*_*.jpg"):
        assert picture.stat().st_size < 300_000


def test_every_page_is_in_the_navigation():
    listed = re.findall(r"\w+\.md", (REPOSITORY / "mkdocs.yml").read_text())
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the extra 'docs'")
@pytest.mark.long
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.name: path.read_text() for path in tmp_path.glob("*.html")}
    assert "neighbor2neighbor_fixed" in pages["table1.html"]
    assert not [name for name, text in pages.items() if re.search(r"<!-- \w+(: .+)? -->", text)]
    typed = r"<p>\s*(\.venv/bin/|unpaired |snakemake |pip |python3? )"
    assert not [name for name, text in pages.items() if re.search(typed, text)]


def test_the_workflow_catalog_finds_what_it_needs():
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["mandatory-flags"]["desc"]
    assert (REPOSITORY / "config/README.md").is_file()


# ---- What the documents themselves say ----

README = REPOSITORY / "README.md"
README_WORDS_MAX = 900
PROSE = [README, *(REPOSITORY / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))]
PROSE += [REPOSITORY / "config/README.md", *sorted(DOCS.glob("*.md"))]
PAGES = [*PROSE, REPOSITORY / "ARCHITECTURE.md", REPOSITORY / "benchmarks/README.md"]
PAGES += [REPOSITORY / "tests/faults/README.md"]
COMMANDS_SHOWN_IN = ("Snakefile", "config/**/*.yaml", "profiles/**/*.yaml", "workflow/**/*.smk")
COMMANDS_SHOWN_IN += ("benchmarks/*.py", "src/**/*.py", "docs/*.ipynb", "workflow/report/*.rst")
COMMANDS_SHOWN_IN += ("environment.yml", ".snakemake-workflow-catalog.yml", ".ci/run")
CODE = re.compile(r"^```.*?^```$|^    [^\n]*$", re.MULTILINE | re.DOTALL)


def split_lines(text: str) -> tuple[list[str], list[str]]:
    """Return the lines of a Markdown text that are prose or table, and those in code boxes.

    A command that goes on after a backslash is one line.
    """
    prose, code = [], []
    in_fence = in_indented = False
    before = ""
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            in_fence = not in_fence
        elif in_fence:
            code.append(line)
        elif line.startswith("    ") and (in_indented or not before.strip()):
            in_indented = True
            code.append(line)
        else:
            in_indented = in_indented and not line.strip()
            prose.append(line)
        before = line
    assert not in_fence
    return prose, code


def shown_commands(text: str) -> list[str]:
    """Return the commands ``unpaired ...`` that stand in code boxes, as they are typed."""
    lines = (line.strip().removeprefix(".venv/bin/") for line in split_lines(text)[1])
    return [line for line in lines if line.startswith("unpaired ")]


def named_commands(text: str) -> list[str]:
    """Return what stands between backticks as ``unpaired ...``, often without arguments."""
    prose = " ".join(split_lines(text)[0])
    return [span for span in re.findall(r"`([^`]+)`", prose) if span.startswith("unpaired ")]


@cache
def whole_command():
    return typer.main.get_command(app)


def find_command(words: list[str]):
    """Return the command that is named, and the words behind its name."""
    command = whole_command()
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command '{words[0]}'"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def unquoted_lists(text: str) -> list[str]:
    """Return settings with brackets or braces that zsh would take for patterns of file names."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if "--config" in line]
    return [
        part for line in lines for part in re.findall(r"(?<!['\"\w.])[a-z][\w.]*=[\[{]\S*", line)
    ]


def shell_commands(text: str) -> list[str]:
    """Return all commands of a page: lines of code boxes, and what stands between backticks."""
    prose, code = split_lines(text)
    spans = re.findall(r"`([^`]+)`", " ".join(prose))
    typed = r"(\.venv/bin/)?(unpaired|snakemake|pip|python3?|pytest|conda|cd|git|ls|cp)\s.*"
    boxed = [line.strip() for line in code if re.fullmatch(typed, line.strip())]
    return boxed + [span for span in spans if re.fullmatch(rf"{typed}|--config .*", span)]


def patterns_of(command: str) -> list[str]:
    """Return the words in which zsh sees a pattern, or a comment, that it does not know when typed.

    Those of a placeholder such as <N> are no commands yet.
    """
    bare = re.sub(r"'[^']*'|\"[^\"]*\"|\\.", "", command)
    return [word for word in bare.split() if re.search(r"[][{}*?()]|^#|^=", word)]


def words_of(text: str) -> list[str]:
    """Return the words outside of code boxes and tables; a link counts by its text."""
    lines = [line for line in split_lines(text)[0] if not line.startswith("|")]
    return re.sub(r"\]\([^)]*\)", "]", "\n".join(lines)).split()


def relative(path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_that_a_page_shows_is_understood(page):
    for line in shown_commands(page.read_text()):
        words = shlex.split(line, comments=True)[1:]
        command, rest = find_command(words)
        if rest not in (["--help"], ["-h"], ["-V"], ["--version"]):
            command.make_context(command.name, list(rest))  # raises where it is wrong


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_that_a_page_names_is_there(page):
    for line in named_commands(page.read_text()):
        command, rest = find_command(line.split()[1:])
        options = {name for parameter in command.params for name in parameter.opts}
        given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-zA-Z]", word)}
        assert given <= options | {"--help", "-h"}, line


def test_commands_that_are_wrong_are_found():
    text = (
        "Take this:\n\n    .venv/bin/unpaired denoise a/ \\\n      --outptu b/\n\n`unpaired paint`"
    )
    (line,) = shown_commands(text)
    command, rest = find_command(line.split()[1:])
    with pytest.raises(UsageError, match="--outptu"):
        command.make_context(command.name, rest)
    (named,) = named_commands(text)
    with pytest.raises(AssertionError, match="paint"):
        find_command(named.split()[1:])


@pytest.mark.parametrize("name", commands())
def test_examples_in_the_help_are_understood(name):
    for line in examples_of(name):
        command, rest = find_command(shlex.split(line)[1:])
        command.make_context(command.name, rest)


def test_lists_in_commands_are_quoted_for_zsh():
    others = [path for pattern in COMMANDS_SHOWN_IN for path in REPOSITORY.glob(pattern)]
    assert len(others) > 50
    for path in [*PAGES, *others]:
        assert unquoted_lists(path.read_text()) == [], path


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_can_be_typed_in_zsh(page):
    """The shell of macOS refuses a command with a pattern that no file fits."""
    for command in shell_commands(page.read_text()):
        assert patterns_of(command) == [], command
        if re.match(r"--config|(\.venv/bin/)?snakemake", command):
            refuse_malformed(shlex.split(command))  # Settings inside others stand in braces.


@pytest.mark.parametrize("name", commands())
def test_examples_in_the_help_can_be_typed_in_zsh(name):
    for line in examples_of(name):
        assert patterns_of(line) == [], line


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_itself_takes_every_command(tmp_path):
    shown = [command for page in PAGES for command in shell_commands(page.read_text())]
    typed = [command for command in shown if not re.search(r"[<>&|;]|\.\.\.", command)]
    assert len(typed) > 50
    script = "\n".join(f"print -r -- {command}" for command in typed)
    done = subprocess.run(["zsh", "-f", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pattern_in_a_command_is_found():
    text = (
        "Or `pip install -e .[test]`.\n\n    snakemake --config seeds=[1,2] 'a=[1]'\n"
        "    unpaired denoise *.tif  # all of them\n    mine = [1, 2]\n"
    )
    found = [patterns_of(command) for command in shell_commands(text)]
    assert found == [["seeds=[1,2]"], ["*.tif", "#"], [".[test]"]]


def test_an_unquoted_list_is_found():
    assert unquoted_lists("snakemake --config seeds=[1,2] 'noises=[a]'") == ["seeds=[1,2]"]
    assert unquoted_lists("    snakemake \\\n  --config a=1 \\\n  x.y={b: 1}") == ["x.y={b:"]
    assert unquoted_lists("snakemake --config 'seeds=[1]' \"training={a: 1}\" device=cpu") == []


def test_the_readme_is_short():
    assert len(words_of(README.read_text())) <= README_WORDS_MAX
    assert words_of("One [two](three/four.md).\n\n    five\n\n| six |\n\n```\nseven\n```\n") == [
        "One",
        "[two].",
    ]


def test_people_come_before_papers_in_the_readme():
    assert re.findall(r"^## (.+)", README.read_text(), re.MULTILINE) == [
        "Install",
        "Denoise your pictures",
        "Compare methods",
        "From Python",
        "Give gray pictures colors",
        "Color by hand",
        "Learn a flaw from five pairs",
        "Noise like yours",
        "Send a picture through a noisy channel",
        "Features without labels",
        "Translate pictures in many ways",
        "Reproduce the papers",
        "Read on",
    ]


def test_the_readme_has_two_setup_commands_of_one_line_each():
    lines = [line for line in README.read_text().splitlines() if line.startswith("    python3 -m")]
    first, second = lines
    assert first.endswith(".venv/bin/snakemake --cores all results/table1.csv")
    assert re.search(r"^    python3? -m venv .*pytest", second)  # as .ci/run looks for it
    assert second in (REPOSITORY / "CONTRIBUTING.md").read_text().splitlines()


def test_the_readme_lists_every_table_once():
    lines = re.findall(
        r"^\| \[(\d+)\]\(docs/table(\d+)\.md\) \| ([^|]+) \|", README.read_text(), re.M
    )
    assert [number for number, _, _ in lines] == TABLES
    for number, page, source in lines:
        assert page == number
        assert source == table_reference.table(number).source


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_link_of_a_page_leads_to_a_file(page):
    prose = re.sub(r"`[^`\n]*`", "", "\n".join(split_lines(page.read_text())[0]))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not target.startswith(("http:", "https:", "#", "mailto:")):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_every_picture_is_shown_somewhere():
    shown = "\n".join(page.read_text() for page in PAGES)
    pictures = [path.name for path in DOCS.iterdir() if path.suffix in (".png", ".jpg")]
    assert [name for name in pictures if name not in shown] == []


def test_the_picture_in_front_is_not_heavy():
    assert README.read_text().startswith("# Unpaired\n\n![")
    assert (DOCS / "front.png").stat().st_size < 500_000


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_paragraph_starts_like_a_sentence(page):
    """None goes on where a code box broke off: "prints the distance"."""
    paragraphs = re.split(r"\n\s*\n", CODE.sub("\n\n", page.read_text()))
    assert [text for text in paragraphs if re.match(r"[a-z]", text)] == []


def test_python_in_the_readme_is_python():
    (block,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert "import unpaired as up" in block
    ast.parse(block)


def test_sections_of_the_readme_keep_the_indent_of_their_first_command():
    readme = README.read_text().replace("](docs/", "](")
    for title in re.findall(r"^## (.+)", readme, re.MULTILINE):
        section = table_reference.readme(title)
        assert f"## {title}\n\n{section}\n" in readme
    assert table_reference.readme("Denoise your pictures").startswith("    unpaired denoise ")
