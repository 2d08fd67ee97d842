"""What the documentation says of tables, methods and data sets, from their own files.

No torch: methods are read as text, not imported.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from unpaired import catalog
from unpaired.data.noise import NOISES, Noise
from unpaired.data.sources import DataSet
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import load_settings
from unpaired.pipeline.table import PairsFrom, Row, Table, load_table, load_tables
from unpaired.pipeline.tables.deviations import deviations
from unpaired.pipeline.tables.layout import align_markdown

ROOT = Path(__file__).parents[4]
CONFIGURATIONS = {"demo": ["config"], "paper": ["config", "paper"]}


def table(number: str) -> Table:
    """Return a table of this project by its number."""
    return load_table(ROOT / f"config/tables/table{number}.yaml")


def tables() -> str:
    """Return the list of all tables as Markdown, each with a link to its page."""
    lines = [["table", "which of which paper", "what it is about"]]
    for entry in load_tables(ROOT / "config/tables"):
        link = f"[Table {entry.number}](table{entry.number}.md)"
        lines.append([link, entry.source, entry.title])
    return align_markdown(lines)


def rows(number: str) -> str:
    """Return a table's rows, noises and test sets as Markdown."""
    chosen = table(number)
    lines = [["row", "method", "noises", "otherwise than the method's own", "note"]]
    for row in chosen.rows:
        noises = ", ".join(row.noises or ["all"])
        lines.append([f"`{row.name}`", f"`{row.method}`", noises, _special(row), row.note])
    return "\n\n".join(
        [
            f"{chosen.paper}.",
            f"Noises: {_codes(chosen.all_noises)}. Test sets: {_codes(chosen.all_testsets)}. "
            f"Printed values: `config/paper_numbers/{chosen.paper_numbers}`.",
            align_markdown(lines),
        ]
    )


def _special(row: Row) -> str:
    """Say what a row changes of its method."""
    said = [f"`{key}` = `{value}`" for key, value in row.options.items()]
    said += [f"`{key}` = `{value}` at full scale" for key, value in row.defaults.items()]
    if row.train_on != "pairs":
        said.append(f"trained on the {row.train_on} set")
    if row.train_noise:
        said.append(f"trained on `{row.train_noise}`")
    if row.pairs_from:
        said.append(_pairs_text(row.pairs_from))
    if row.noise_draw != "fresh":
        said.append(f"noise drawn: {row.noise_draw}")
    if row.read_out:
        said.append(f"read-out `{row.read_out}`")
    if row.weights:
        said.append(f"weights from `{row.weights}`")
    return ", ".join(said)


def _pairs_text(how: PairsFrom) -> str:
    options = "".join(f", `{key}` = `{value}`" for key, value in how.options.items())
    ways = "".join(f", {key.replace('_', ' ')} {value}" for key, value in how.how.items())
    return f"pairs by `{how.method}`{ways}{options}"


def _codes(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def differences(number: str, scale: str) -> str:
    """Return how a configuration differs from the paper, as its tables say it below themselves."""
    paths = [ROOT / f"config/{name}.yaml" for name in CONFIGURATIONS[scale]]
    plan = plan_table(table(number), load_settings(paths, None), assume_data=True)
    said = deviations(plan) or ["In no setting."]
    return "\n".join(f"- {line}" for line in said)


def methods(number: str) -> str:
    """Return what the file of every method of a table says about it."""
    rows = table(number).rows
    pairs = (row.pairs_from.method for row in rows if row.pairs_from)
    names = dict.fromkeys([*(row.method for row in rows), *pairs])
    return "\n\n".join(f"### {name}\n\n{method_notes(name)}" for name in names)


def method_notes(name: str) -> str:
    """Return the docstrings of a method's file, of its class and of its settings."""
    entry = catalog.method(name)
    tree = _tree(entry.module)
    product = entry.target.partition(":")[2]
    settings = [node for node in _classes(tree) if _is_config(node)]
    documented = [tree, *(c for c in _classes(tree) if c.name == product or c in settings)]
    inherited = [node for node in _classes(_tree("unpaired.learning.denoiser")) if _is_config(node)]
    fields = {field for node in [*settings, *inherited] for field in _fields(node)}
    return "\n\n".join(_as_markdown(ast.get_docstring(node) or "", fields) for node in documented)


def _tree(module: str) -> ast.Module:
    path = ROOT / "src" / Path(*module.split(".")).with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def _classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def _is_config(node: ast.ClassDef) -> bool:
    return node.name.endswith("Config")


def _fields(node: ast.ClassDef) -> list[str]:
    assigned = (part for part in node.body if isinstance(part, ast.AnnAssign))
    return [part.target.id for part in assigned if isinstance(part.target, ast.Name)]


def _as_markdown(text: str, fields: set[str]) -> str:
    """Turn a docstring's "setting: what it is" into entries of a list."""
    lines: list[str] = []
    in_list = False
    for line in text.splitlines():
        names, colon, rest = line.partition(":")
        is_entry = bool(colon) and set(names.split(", ")) <= fields
        if is_entry and not in_list:
            lines.append("")
        in_list = bool(line) and (is_entry or in_list)
        lines.append(f"- `{names}`:{rest}" if is_entry else line)
    return "\n".join(lines)


def datasets() -> str:
    """Return the listed data sets as Markdown."""
    lines = [["data set", "pictures", "noise draws each", "where from", "folder below `data_root`"]]
    lines += [_dataset_line(dataset) for dataset in catalog.datasets().values()]
    return align_markdown(lines)


def _dataset_line(dataset: DataSet) -> list[str]:
    pictures = str(dataset.pictures or "")
    where = dataset.where or "inside installed packages"
    repeats = str(dataset.paper_repeats)
    layout = dataset.layout.replace("*", r"\*")
    return [f"`{dataset.name}`", pictures, repeats, where, layout]


def noises() -> str:
    """Return the noises as Markdown."""
    lines = [["noise", "what it is"], *([f"`{n.name}`", _level_text(n)] for n in NOISES.values())]
    return align_markdown(lines)


def _level_text(noise: Noise) -> str:
    is_gaussian = noise.family == "gaussian"
    scale = 255 if is_gaussian else 1
    ends = sorted({noise.level_min * scale, noise.level_max * scale})
    level = " to ".join(f"{end:g}" for end in ends) + (" / 255" if is_gaussian else "")
    drawn = ", drawn for every image" if len(ends) > 1 else ""
    what = "Gaussian, standard deviation" if is_gaussian else "Poisson, photon count at 1.0:"
    return f"{what} {level}{drawn}"


def readme(title: str) -> str:
    """Return a section of the README without its heading; raises KeyError if there is none.

    Links into docs/ are made to work from there. The indent of a first line is kept: it is code.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    return sections[title].strip("\n").replace("](docs/", "](")
