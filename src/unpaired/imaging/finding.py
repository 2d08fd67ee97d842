"""Files of pictures in files and folders, and what is said of the files that are none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from unpaired.core.errors import UnpairedError, list_some, shown
from unpaired.core.files import reading
from unpaired.imaging.formats.decoded import bad

TIFF_SUFFIXES = (".tif", ".tiff")
SUFFIXES = (".png", ".jpg", ".jpeg", *TIFF_SUFFIXES, ".webp")

NO_CLASSES = ("__MACOSX",)  # Folders that archives bring along; hidden ones are none either.

Item = TypeVar("Item")


def find_pictures(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Return the pictures named by files and folders, each once, in the order given.

    A folder stands for all files in it and its sub-folders that have a picture's suffix (any case),
    sorted by path. Hidden files are left out. Links are followed; a link is known by its own name.

    Raises UnpairedError that lists everything missing, unreadable, without pictures or of another
    suffix.
    """
    found: dict[Path, Path] = {}
    for listing in read_all(paths, _pictures_at):
        for picture in listing:
            found.setdefault(picture.resolve(), picture)
    return list(found.values())


def names_in(folder: Path) -> list[str]:
    """Return the pictures that `find_pictures` finds in a folder, as paths in it.

    A million of them take a hundred megabytes; as objects they would take more than a gigabyte.
    """
    found = _search(folder)
    if not found.links:
        return found.names
    kept: dict[str, str] = {}
    for name in found.names:
        kept.setdefault(os.path.realpath(folder / name), name)
    return list(kept.values())


def pictures_by_name(folder: str | os.PathLike) -> dict[str, Path]:
    """Return the pictures that `find_pictures` finds in a folder, by path in it less the suffix.

    Raises UnpairedError as `find_pictures` does, and where two differ in their suffix alone.
    """
    named: dict[str, Path] = {}
    for path in find_pictures([folder]):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in named:
            raise UnpairedError(f"{path} and {named[name]} have one name; remove one of them")
        named[name] = path
    return named


def class_folders(folder: Path) -> list[str]:
    """Return the names of the folders in ``folder``, sorted; hidden ones are no classes.

    Raises UnpairedError if it is missing, a file, or has none.
    """
    folder = Path(folder)
    with reading(folder):
        names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    found = [name for name in names if not name.startswith(".") and name not in NO_CLASSES]
    if not found:
        raise UnpairedError(f"{folder}: no folders; there must be one per class, with its pictures")
    return found


class Survey(NamedTuple):
    """What folders hold. skipped: every other file that may be a picture, with the remedy."""

    pictures: list[Path]
    skipped: dict[Path, str]


def survey(paths: Iterable[str | os.PathLike]) -> Survey:
    """Return the pictures as `find_pictures` does, and the files that it passes over.

    ``skipped`` maps each to a few words that say what it is and what to do: ``a camera's raw file;
    develop it to TIFF``. Hidden files, links that lead nowhere, and files that are no pictures by
    their name (texts, tables, models ...) are not among them.

    Raises UnpairedError as `find_pictures` does; so a folder needs one picture at least.
    """
    paths = list(paths)
    pictures = find_pictures(paths)
    skipped: dict[Path, str] = {}
    for folder in map(Path, paths):
        with reading(folder):
            others = _passed_over(folder) if folder.is_dir() else []
        skipped |= {path: _remedy(path) for path in others}
    return Survey(pictures, skipped)


def read_all(
    paths: Iterable[str | os.PathLike], reader: Callable[[str | os.PathLike], Item]
) -> list[Item]:
    """Return what ``reader`` makes of every path.

    Raises one UnpairedError that lists all files which ``reader`` refused, not only the first.
    """
    items, refusals = [], []
    for path in paths:
        try:
            items.append(reader(path))
        except UnpairedError as error:
            refusals.append(str(error))
    if refusals:
        raise UnpairedError(list_some(refusals))
    return items


def _pictures_at(path: str | os.PathLike) -> list[Path]:
    path = Path(path)
    with reading(path):
        is_folder = path.is_dir()
    if not is_folder:
        if path.suffix.lower() not in SUFFIXES and os.path.lexists(path):
            known = f"known suffixes: {', '.join(SUFFIXES)}"
            raise bad(path, "not a picture's name", f"{known}; it is {_remedy(path)}")
        refuse_no_file(path)
        return [path]
    return [path / name for name in _search(path).names]


@dataclass
class _Found:
    """The files below a folder that are ``wanted``, as paths in it in their order; no hidden ones.

    links: whether there was any. irregular: the names that may be of no file.
    """

    wanted: Callable[[Path], bool]
    names: list[str] = field(default_factory=list)
    irregular: list[str] = field(default_factory=list)
    links: bool = False

    def search(self, folder: Path, below: str = "", above: frozenset[str] = frozenset()) -> None:
        """Search a folder and those in it; ``above`` stops links that lead back up."""
        place = folder / below
        real = os.path.realpath(place)
        if real in above:
            return
        with os.scandir(place) as scanned:
            entries = [entry for entry in scanned if not entry.name.startswith(".")]
        for entry in sorted(entries, key=lambda entry: entry.name):
            name, is_link = below + entry.name, entry.is_symlink()
            if os.path.isdir(entry) if is_link else entry.is_dir():
                self.links |= is_link
                self.search(folder, f"{name}/", above | {real})
            elif self.wanted(Path(entry)):
                self.links |= is_link
                self.names.append(name)
                if not entry.is_file(follow_symlinks=False):
                    self.irregular.append(name)


def _search(folder: Path) -> _Found:
    """Return the pictures in a folder; raises UnpairedError if there is none, or one is no file."""
    found = _Found(_is_picture)
    with reading(folder):
        found.search(folder)
    if not found.names:
        known = f"known suffixes: {', '.join(SUFFIXES)}"
        with reading(folder):
            others = _passed_over(folder)
        passed_over = [f"{shown(other.name)}: {_remedy(other)}" for other in others]
        remedy = list_some([known, *passed_over], limit=4)
        raise bad(folder, "no picture in this folder", remedy)
    read_all((folder / name for name in found.irregular), refuse_no_file)
    return found


def _passed_over(folder: Path) -> list[Path]:
    found = _Found(_is_passed_over)
    found.search(folder)
    return [folder / name for name in found.names]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


_DEVELOP = "a camera's raw file; develop it to TIFF"
_EXPORT = "a microscope's or scientific format; export it as TIFF with Bio-Formats or Fiji"
_CONVERT = "a format that is not read; convert it to PNG"
_FRAMES = "a film; save its frames as a TIFF stack"
_REMEDIES = {
    _DEVELOP: "3fr arw cr2 cr3 dcr dng erf iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 "
    "srf srw x3f",
    _EXPORT: "avs czi dcm dm3 dm4 fits fit flex fts gel ids ics ims ipl lif liff lim lms lsm mrc "
    "mrcs mvd2 nd nd2 nii nrrd nhdr obf oib oif oir pic scn sdt sld ser spe stk svs ndpi bif vsi "
    "vws xrm zvi vms h5 hdf5 ome zarr",
    _CONVERT: "avif bmp dib exr gif hdr heic heif ico j2k jfif jng jp2 jpe jpx jxl jxr pbm pcx pgm "
    "pnm ppm psb psd qoi ras sgi svg tga xcf",
    _FRAMES: "avi mkv mov mp4 mpeg mpg webm wmv",
}  # fmt: skip
_REMEDY_OF = {f".{end}": remedy for remedy, ends in _REMEDIES.items() for end in ends.split()}
_OTHER_FILES = (
    "txt md rst csv tsv json yaml yml toml ini cfg log xml html htm css js py ipynb sh m ijm r pdf "
    "doc docx odt xls xlsx ods ppt pptx tex bib zip tar gz tgz bz2 xz 7z rar safetensors pt pth "
    "ckpt onnx pkl db sqlite tmp bak part lock xmp thm pp3 dop cos"
)
_NO_PICTURES = {f".{end}" for end in _OTHER_FILES.split()}


def _is_passed_over(path: Path) -> bool:
    suffix = path.suffix.lower()
    return not _is_picture(path) and suffix not in _NO_PICTURES and path.is_file()


def _remedy(path: Path) -> str:
    """Say what a file is by its name, and what to do with it."""
    if not path.suffix:
        return "a file without a suffix; give it that of its format if it is a picture"
    if path.suffix.lower() in _NO_PICTURES:
        return "a file of another kind; leave it out"
    return _REMEDY_OF.get(path.suffix.lower(), "an unknown format; convert it to PNG or TIFF")


def refuse_no_file(path: Path) -> None:
    with reading(path):
        if path.is_file():
            return
        if path.exists():
            raise bad(path, "not a regular file", "name a picture")
    if path.is_symlink():
        raise bad(path, "a link that leads nowhere", "mend or remove it")
    raise bad(path, "no such file or folder", "check its name")
