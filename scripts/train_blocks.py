"""Trains the block scorer of web fetch and writes its weights and its report.

    uv run --group training python scripts/train_blocks.py CORPUS [--folds 4] [--weights FILE] [--report FILE]
    uv run --group training python scripts/train_blocks.py CORPUS --quick --weights blocks.npz

CORPUS is a folder with `items.jsonl` (id, url, type, ref) and `pages/ID.html`, each plain or packed as `.gz` or `.xz`:
the development pages of WCXB (CC-BY-4.0, see NOTICE). Whole domains are left out, never single pages:

- of every fold, for the cross-validated figures of the report;
- one domain in eight from the weights that are written, so that the gateway can be measured on pages it never saw.

`--quick` takes a sixth of the pages, few trees and no folds: it shows within a minute that all steps work. Its weights
are no good, so that it asks where to write them.
"""

import argparse
import gzip
import hashlib
import json
import lzma
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import lightgbm
import msgspec
import numpy as np
from numpy.typing import NDArray
from trafilatura import extract

from mira.fetch.extract.caps import cut_down
from mira.fetch.extract.charset import decode
from mira.fetch.extract.choose import decide
from mira.fetch.extract.dom import blocks_of, body_of, drop_unseen, parse, words_of
from mira.fetch.extract.features import features
from mira.fetch.extract.forest import LEXICON_STEP
from mira.fetch.extract.metadata import linked_data
from mira.fetch.extract.signals import Floats, Signals, says_article, signals
from mira.fetch.extract.told import told_of
from mira.fetch.extract.vote import chosen, second_vote, vote

WEIGHTS = Path(__file__).parent.parent / "src/mira/fetch/extract/data/blocks.npz"
HELD_OUT_OF = 8
ROUNDS = 260
QUICK_ROUNDS = 20
QUICK_STEP = 6
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 28,
    "max_depth": 10,
    "min_data_in_leaf": 80,
    "max_bin": 63,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "seed": 1,
    # The same weights wherever they are fitted, on however many cores.
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
#: A piece of a name or a word counts once this many domains use it.
NAME_DOMAINS = 4
WORD_DOMAINS = 8
PRIOR_DOMAINS = 2.0
LABELLED_WORDS = 40


class Item(msgspec.Struct):
    """A page of the corpus and its reference text."""

    id: str
    url: str
    type: str
    ref: str

    @property
    def domain(self) -> str:
        return urlsplit(self.url).netloc.removeprefix("www.")


class Page(msgspec.Struct):
    """A page in numbers, with a label per block and what is needed to score a choice of blocks."""

    item: Item
    numbers: Signals
    labels: NDArray[np.float64]
    tokens: list[Counter[str]]
    peer_f1: float


def main() -> None:
    """Trains, writes the weights, prints and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--folds", type=int, default=4, help="of the cross-validation; 0 for none")
    parser.add_argument("--weights", type=Path, help=f"default: {WEIGHTS.name} of the package; needed with --quick")
    parser.add_argument("--quick", action="store_true", help="few pages and trees, no folds: whether it works at all")
    parser.add_argument("--report", type=Path)
    wish = parser.parse_args()
    if wish.quick and wish.weights is None:
        parser.error("--quick needs --weights FILE, since the weights that it writes are no good")
    path, rounds = wish.weights or WEIGHTS, QUICK_ROUNDS if wish.quick else ROUNDS
    lines = unpacked(wish.corpus / "items.jsonl").decode().split("\n")
    items = [msgspec.json.decode(line, type=Item) for line in lines if line]
    if wish.quick:
        items = items[::QUICK_STEP]
    with ProcessPoolExecutor() as pool:
        pages = [page for page in pool.map(partial(read, wish.corpus), items, chunksize=8) if page is not None]
        report = {"pages": len(pages), "blocks": sum(len(page.labels) for page in pages)}
        print(report, flush=True)
        if wish.folds and not wish.quick:
            report["cross_validated"] = cross_validated(pages, wish.folds, pool)
        seen = [page for page in pages if not held_out(page.item.domain)]
        unseen = [page for page in pages if held_out(page.item.domain)]
        booster, lexicon = fitted(seen, pool, rounds)
        report["held_out"] = table(unseen, [booster.predict(features(page.numbers, lexicon)) for page in unseen])
        report["held_out_domains"] = sorted({page.item.domain for page in unseen})
    write(path, booster, lexicon)
    report["weights_bytes"] = path.stat().st_size
    if wish.report:
        wish.report.write_text(json.dumps(report, indent=1))


def held_out(domain: str) -> bool:
    """Whether the shipped weights must not know the domain."""
    return share_of(domain) % HELD_OUT_OF == 0


def share_of(domain: str) -> int:
    return int(hashlib.sha256(domain.encode()).hexdigest(), 16)


def unpacked(path: Path) -> bytes:
    """The bytes of a file that may be packed."""
    for ending, unpack in (("", bytes), (".gz", gzip.decompress), (".xz", lzma.decompress)):
        packed = path.with_name(path.name + ending)
        if packed.is_file():
            return unpack(packed.read_bytes())
    raise FileNotFoundError(path)


def read(corpus: Path, item: Item) -> Page | None:
    """One page; None where it has no text."""
    html = cut_down(decode(unpacked(corpus / "pages" / f"{item.id}.html"), "text/html; charset=utf-8"))
    document = parse(html)
    if document is None:
        return None
    body = body_of(document)
    drop_unseen(body)
    blocks, nodes = blocks_of(body)
    if not blocks:
        return None
    first = vote(document, item.url, is_article=says_article(document))
    words = [block.words for block in blocks]
    numbers = signals(
        document,
        blocks,
        nodes,
        vote=chosen(words, first),
        second=chosen(words, second_vote(html)),
        told=told_of(document, list(linked_data(document)), words),
    )
    peer = extract(html, url=item.url, include_comments=False) or ""
    return Page(
        item=item,
        numbers=numbers,
        labels=labels(numbers, item.ref),
        tokens=[Counter(words_of(block.text)) for block in blocks],
        peer_f1=f1(Counter(words_of(peer)), Counter(words_of(item.ref))),
    )


def labels(numbers: Signals, reference: str) -> NDArray[np.float64]:
    """1 for blocks that stand in the reference; of blocks that repeat, the first, as many as the reference holds."""
    run = f" {' '.join(words_of(reference))} "
    marks = np.array(chosen(numbers.words, reference), np.float64)
    places: dict[str, list[int]] = defaultdict(list)
    for place in np.flatnonzero(marks):
        places[" ".join(numbers.words[place])].append(int(place))
    for own, repeated in places.items():
        if len(repeated) > 1:
            marks[repeated[max(run.count(f" {own} "), 1) :]] = 0
    return marks


class Counts(msgspec.Struct):
    """For each token: the sum over domains of the share of its text that is content, and how many domains use it."""

    prior: float
    domains_needed: int
    total: dict[str, tuple[float, int]]
    by_domain: dict[str, dict[str, float]]

    def score(self, token: str, without: str | None) -> float:
        """How much the token speaks for content, as log odds; `without` leaves a domain's own word out."""
        share, domains = self.total.get(token, (0.0, 0))
        own = self.by_domain.get(without, {}).get(token) if without is not None else None
        if own is not None:
            share, domains = share - own, domains - 1
        if domains < self.domains_needed:
            return 0.0
        odds = (share + PRIOR_DOMAINS * self.prior) / (domains + PRIOR_DOMAINS)
        logit = math.log(odds / (1 - odds)) - math.log(self.prior / (1 - self.prior))
        return float(np.clip(round(logit / LEXICON_STEP), -127, 127)) * LEXICON_STEP


def counted(shares: dict[str, dict[str, float]], domains_needed: int) -> Counts:
    total: dict[str, tuple[float, int]] = {}
    for tokens in shares.values():
        for token, share in tokens.items():
            known = total.get(token, (0.0, 0))
            total[token] = (known[0] + share, known[1] + 1)
    uses = sum(domains for _, domains in total.values())
    return Counts(sum(share for share, _ in total.values()) / uses, domains_needed, total, shares)


class Lexicon(msgspec.Struct):
    """What `features` asks; with `without`, as if that domain had not been in the corpus."""

    names: Counts
    words: Counts
    without: str | None = None
    known_names: dict[str, float] = msgspec.field(default_factory=dict)
    known_words: dict[str, float] = msgspec.field(default_factory=dict)

    def name(self, token: str) -> float:
        if token not in self.known_names:
            self.known_names[token] = self.names.score(token, self.without)
        return self.known_names[token]

    def word(self, word: str) -> float:
        if word not in self.known_words:
            self.known_words[word] = self.words.score(word, self.without)
        return self.known_words[word]


def lexicon_of(pages: Iterable[Page]) -> Lexicon:
    """How much names and words speak for content in these pages, each domain once."""
    names: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    words: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    for page in pages:
        numbers, domain = page.numbers, page.item.domain
        sizes = np.maximum(np.expm1(numbers.raw[:, 0]), 0.5)
        inside = np.zeros((len(numbers.parents), 2))
        np.add.at(inside, numbers.node_of, np.stack([sizes * page.labels, sizes], axis=1))
        for node in range(len(numbers.parents) - 1, 0, -1):
            inside[numbers.parents[node]] += inside[node]
        for name, (content, size) in zip(numbers.names, inside.tolist(), strict=True):
            for token in name.tokens if size else ():
                add(names[domain][token], content, size)
        for block, label in zip(numbers.words, page.labels.tolist(), strict=True):
            # A word says more in a short block.
            weight = 1 / (1 + len(block) / 8)
            for word in set(block[:LABELLED_WORDS]):
                add(words[domain][word], label * weight, weight)
    return Lexicon(counted(shares(names), NAME_DOMAINS), counted(shares(words), WORD_DOMAINS))


def add(sums: list[float], content: float, size: float) -> None:
    sums[0] += content
    sums[1] += size


def shares(sums: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    return {
        domain: {token: content / size for token, (content, size) in tokens.items()} for domain, tokens in sums.items()
    }


def fitted(pages: Sequence[Page], pool: ProcessPoolExecutor, rounds: int = ROUNDS) -> tuple[lightgbm.Booster, Lexicon]:
    """Trees and lexicon. No page is shown what the lexicon learned from its own domain."""
    lexicon = lexicon_of(pages)
    jobs = []
    for page in pages:
        own = {token for names in page.numbers.names for token in names.tokens}
        said = {word for block in page.numbers.words for word in block[:LABELLED_WORDS]}
        without = page.item.domain
        known_names = {token: lexicon.names.score(token, without) for token in own}
        known_words = {word: lexicon.words.score(word, without) for word in said}
        jobs.append((page.numbers, Told(known_names, known_words)))
    rows = list(pool.map(rows_of, jobs, chunksize=32))
    data = lightgbm.Dataset(
        np.concatenate(rows),
        np.concatenate([page.labels for page in pages]),
        weight=np.concatenate([weights(page) for page in pages]),
    )
    return lightgbm.train(PARAMETERS, data, rounds), lexicon


class Told(msgspec.Struct):
    """A lexicon that was looked up before, small enough to send."""

    names: dict[str, float]
    words: dict[str, float]

    def name(self, token: str) -> float:
        return self.names[token]

    def word(self, word: str) -> float:
        return self.words[word]


def rows_of(job: tuple[Signals, Told]) -> Floats:
    return features(*job)


def weights(page: Page) -> NDArray[np.float64]:
    """Long blocks count more, and a page by the square root of its size."""
    own = np.sqrt(np.minimum(np.expm1(page.numbers.raw[:, 0]), 60)) + 0.3
    found: NDArray[np.float64] = own / own.sum() * np.sqrt(own.sum())
    return found


def cross_validated(pages: Sequence[Page], folds: int, pool: ProcessPoolExecutor) -> dict[str, dict[str, float]]:
    """Every page judged by trees that know nothing of its domain."""
    scores: dict[str, NDArray[np.float64]] = {}
    for fold in range(folds):
        seen = [page for page in pages if share_of(page.item.domain) % folds != fold]
        booster, lexicon = fitted(seen, pool)
        for page in pages:
            if share_of(page.item.domain) % folds == fold:
                scores[page.item.id] = booster.predict(features(page.numbers, lexicon))
    return table(pages, [scores[page.item.id] for page in pages])


def table(pages: Sequence[Page], scores: Sequence[NDArray[np.float64]]) -> dict[str, dict[str, float]]:
    """F1 of the chosen blocks' words, of all that the labels allow, and of trafilatura's text, by type of page."""
    rows = defaultdict(list)
    for page, judged in zip(pages, scores, strict=True):
        kept = decide(page.numbers, judged)
        reference = Counter(words_of(page.item.ref))
        row = (f1(joined(page, kept), reference), f1(joined(page, page.labels > 0), reference), page.peer_f1)
        rows[page.item.type].append(row)
        rows["all"].append(row)
    found = {}
    for kind, values in sorted(rows.items()):
        ours, best, peer = np.mean(values, axis=0).tolist()
        found[kind] = {"pages": len(values), "f1": ours, "trafilatura": peer, "labels": best}
        print(f"{kind:14s} {len(values):5d}  F1 {ours:.4f}  trafilatura {peer:.4f}  labels {best:.4f}", flush=True)
    return found


def joined(page: Page, kept: NDArray[np.bool_]) -> Counter[str]:
    total: Counter[str] = Counter()
    for place in np.flatnonzero(kept):
        total.update(page.tokens[place])
    return total


def f1(found: Counter[str], wanted: Counter[str]) -> float:
    """Of two bags of words."""
    size = found.total() + wanted.total()
    return 2 * (found & wanted).total() / size if size else 1.0


def write(path: Path, booster: lightgbm.Booster, lexicon: Lexicon) -> None:
    """The weights as `mira.fetch.extract.forest` reads them."""
    trees = [flattened(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
    nodes = [node for tree in trees for node in tree]
    names, name_scores = kept_tokens(lexicon.names)
    words, word_scores = kept_tokens(lexicon.words)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        nodes_per_tree=np.array([len(tree) for tree in trees], np.uint8),
        feature=np.array([node[0] for node in nodes], np.uint16),
        threshold=np.array([node[1] for node in nodes], np.float32),
        left=np.array([node[2] for node in nodes], np.uint8),
        right=np.array([node[3] for node in nodes], np.uint8),
        value=np.array([node[4] for node in nodes], np.float32),
        steps=np.array(max(node[5] for node in nodes), np.int32),
        name_tokens=names,
        name_scores=name_scores,
        word_tokens=words,
        word_scores=word_scores,
    )


def flattened(root: dict) -> list[tuple[int, float, int, int, float, int]]:
    """Nodes of a tree: feature, threshold, left, right, value, depth; a leaf leads to itself."""
    nodes: list[tuple[int, float, int, int, float, int]] = []

    def put(node: dict, depth: int) -> int:
        place = len(nodes)
        nodes.append((0, 0.0, place, place, float(node.get("leaf_value", 0.0)), depth))
        if "split_feature" in node:
            left = put(node["left_child"], depth + 1)
            right = put(node["right_child"], depth + 1)
            nodes[place] = (node["split_feature"], node["threshold"], left, right, 0.0, depth)
        return place

    put(root, 0)
    return nodes


def kept_tokens(counts: Counts) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Tokens that say something, joined by newlines, and their scores in steps."""
    known = {token: round(counts.score(token, None) / LEXICON_STEP) for token in sorted(counts.total)}
    kept = {token: score for token, score in known.items() if abs(score) > 2}
    text = "\n".join(kept).encode()
    return np.frombuffer(text, np.uint8), np.array(list(kept.values()), np.int8)


if __name__ == "__main__":
    sys.exit(main())
