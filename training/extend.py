"""Adds public picture sets to the training pictures: see README.md for the sets and where they lie.

    python training/extend.py --data DATA --work WORK --set food=REPOSITORY@REVISION:data/train …

A set is a folder of folders in a git repository (a bare one will do): every folder is one concept. Which concept it is
need not be said: the folder holds some of the training pictures already, and those tell. Nothing that looks like a
validation picture is taken, nor anything that is there already. Pictures of a set with captions (`flickr8k`) have the
captions of the training picture that they look like, and come as three views: squeezed whole frame and both ends.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import data
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

TAKEN = frozenset({".jpg", ".jpeg", ".png"})
SAME, SUSPECT = 0.97, 0.90
"""Cosine of two signatures. The same picture lies above 0.99 and almost none between there and 0.96; above `SUSPECT` it
may still be the same, cut differently: that suffices to keep it out when the other is a validation picture."""
FEWEST_VOTES = 3
log = logging.getLogger("extend")
Signatures = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Set:
    """One `--set NAME=REPOSITORY@REVISION:FOLDER`."""

    source: str
    repository: str
    revision: str
    folder: str

    @classmethod
    def parse(cls, text: str) -> Set:
        source, _, rest = text.partition("=")
        rest, _, folder = rest.rpartition(":")
        repository, _, revision = rest.rpartition("@")
        return cls(source, repository, revision, folder)

    @property
    def slug(self) -> str:
        return f"{self.source}-{Path(self.repository).parent.name}"


def files(chosen: Set) -> list[tuple[str, str]]:
    """(blob, path) of every picture."""
    command = ["git", "-C", chosen.repository, "ls-tree", "-r", "-z", chosen.revision, "--", chosen.folder or "."]
    rows = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    found = []
    for row in filter(None, rows):
        facts, _, path = row.partition("\t")
        if Path(path).suffix.lower() in TAKEN:
            found.append((facts.split()[2], path))
    return found


def blobs(chosen: Set, wanted: list[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of every file that is present, through one `git cat-file --batch`."""
    command = ["git", "-C", chosen.repository, "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as git:
        assert git.stdin
        assert git.stdout
        for blob, path in wanted:
            git.stdin.write(f"{blob}\n".encode())
            git.stdin.flush()
            answer = git.stdout.readline().split()
            if answer[-1] != b"missing":
                yield path, git.stdout.read(int(answer[2]) + 1)[:-1]
        git.stdin.close()


def views(picture: Image.Image, captioned: bool) -> list[Image.Image]:
    """The centre square; with captions the whole frame and both ends."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    centre = picture.crop((left, top, left + side, top + side))
    if not captioned:
        return [centre]
    least = int(side * 0.8)
    ends = [(0, 0, least, least), (width - least, height - least, width, height)]
    return [centre, picture, *(picture.crop(box) for box in ends)]


def decode(chosen: Set, work: Path) -> None:
    """Writes `sets/SLUG.npy` (uint8 [n, 72, 72, 3]) and the folder of each in `sets/SLUG.json`."""
    target, names = work / "sets" / f"{chosen.slug}.npy", work / "sets" / f"{chosen.slug}.json"
    if target.exists() and names.exists():
        return
    wanted, pixels, folders = files(chosen), [], []
    captioned = chosen.source in data.CAPTIONED
    for path, content in blobs(chosen, wanted):
        try:
            with Image.open(io.BytesIO(content)) as picture:
                picture.draft("RGB", (2 * data.SIDE, 2 * data.SIDE))
                picture = picture.convert("RGB")
        except OSError:
            continue
        for view in views(picture, captioned):
            pixels.append(np.asarray(view.resize((data.SIDE, data.SIDE), Image.Resampling.BICUBIC)))
            folders.append(str(Path(path).parent))
    np.save(target, np.stack(pixels))
    names.write_text(json.dumps(folders))
    log.info("%s: %d", chosen.slug, len(pixels))


def signatures(pixels: data.Pixels) -> Signatures:
    """[n, 300]: 10 × 10 colours without their mean, unit length; two copies of one picture lie close."""
    found = []
    for start in range(0, len(pixels), 4096):
        some = torch.from_numpy(np.asarray(pixels[start : start + 4096])).permute(0, 3, 1, 2).float()
        small = torch.nn.functional.interpolate(some, size=(10, 10), mode="area").flatten(1)
        found.append(torch.nn.functional.normalize(small - small.mean(1, keepdim=True), dim=1))
    result: Signatures = torch.cat(found).numpy()
    return result


def nearest(wanted: Signatures, known: Signatures) -> tuple[Signatures, npt.NDArray[np.int64]]:
    """Per row of `wanted` the best cosine among `known`, and which one it is."""
    there, best, where = torch.from_numpy(known).T.contiguous(), [], []
    for start in range(0, len(wanted), 2048):
        values, rows = (torch.from_numpy(wanted[start : start + 2048]) @ there).max(1)
        best.append(values.numpy())
        where.append(rows.numpy())
    return np.concatenate(best), np.concatenate(where)


def meanings(folders: list[str], same: npt.NDArray[np.bool_], texts: list[tuple[str, ...]]) -> dict[str, str]:
    """Folder → first name of its concept, by the training pictures that lie in it."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for folder, is_same, names in zip(folders, same, texts, strict=True):
        if is_same:
            votes[folder][names[0]] += 1
    winners = {folder: counted.most_common(1)[0] for folder, counted in votes.items()}
    return {folder: name for folder, (name, n) in winners.items() if n >= FEWEST_VOTES}


def choose(
    chosen: Set, work: Path, pictures: list[data.Picture], known: Signatures
) -> tuple[data.Pixels, list[dict[str, object]]]:
    """The new pictures of a set, and their records."""
    pixels = np.load(work / "sets" / f"{chosen.slug}.npy", mmap_mode="r")
    folders = json.loads((work / "sets" / f"{chosen.slug}.json").read_text())
    mine = signatures(pixels)
    held = np.array([i for i, p in enumerate(pictures) if p.split != "train"])
    likeness, _ = nearest(mine, known[held])
    here = np.array([i for i, p in enumerate(pictures) if p.split == "train" and p.source == chosen.source])
    likest, row = nearest(mine, known[here])
    match = [pictures[here[r]] for r in row]
    if chosen.source in data.CAPTIONED:
        return _captioned(pixels, likeness, likest, match, chosen)
    named = {p.texts[0]: p for p in pictures if p.source == chosen.source}
    concept = meanings(folders, likest > SAME, [p.texts for p in match])
    names = [concept.get(folder) for folder in folders]
    taken = [
        k for k, name in enumerate(names)
        if name is not None and likeness[k] < SUSPECT and likest[k] <= SAME
    ]  # fmt: skip
    counts = (
        len(pixels),
        len(set(folders)),
        len(concept),
        (likeness >= SUSPECT).sum(),
        (likest > SAME).sum(),
        len(taken),
    )
    log.info("%s: %d pictures, %d folders, %d known; %d like validation, %d there; taken %d", chosen.slug, *counts)
    records = [
        {"source": chosen.source, "texts": named[str(names[k])].texts, "broader": named[str(names[k])].broader}
        for k in taken
    ]
    return pixels[taken], records


def _captioned(
    pixels: data.Pixels, likeness: Signatures, likest: Signatures, match: list[data.Picture], chosen: Set
) -> tuple[data.Pixels, list[dict[str, object]]]:
    """Whole frame and ends of each picture whose centre is a training picture; a fourth of the rows are centres."""
    taken, records = [], []
    for centre in range(0, len(pixels), 4):
        if likest[centre] > SAME and likeness[centre] < SUSPECT:
            taken += [centre + 1, centre + 2, centre + 3]
            records += [{"source": chosen.source, "texts": match[centre].texts, "broader": match[centre].broader}] * 3
    log.info("%s: %d pictures, taken %d views", chosen.slug, len(pixels) // 4, len(taken))
    return pixels[taken], records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pictures")
    parser.add_argument("--work", type=Path, required=True, help="folder for caches")
    parser.add_argument("--set", dest="sets", action="append", required=True, type=Set.parse, help="NAME=REPO@REV:DIR")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    (arguments.work / "sets").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(decode, arguments.sets, [arguments.work] * len(arguments.sets)))
    pictures = data.read_pictures(arguments.data)
    known = signatures(data.read_pixels(arguments.data, arguments.work, pictures))
    chosen = [choose(one, arguments.work, pictures, known) for one in arguments.sets]
    np.save(arguments.work / "more.npy", np.concatenate([pixels for pixels, _ in chosen]))
    rows = [json.dumps(record) for _, records in chosen for record in records]
    (arguments.work / "more.jsonl").write_text("\n".join(rows) + "\n")
    log.info("%d more pictures", len(rows))


if __name__ == "__main__":
    main()
