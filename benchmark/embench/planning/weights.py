"""Pretrained weights to start from, the datasets that a method has used, and requests that stand for several runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from embench import registry
from embench.data.cohort import Cohort, build_cohort, card_for_protocol, choose_targets, unlabelled_cohort
from embench.data.find import Source
from embench.engine import channels
from embench.engine.channels import Channel
from embench.engine.network import (
    Site,
    channels_at,
    channels_read,
    check_channels,
    check_file,
    check_rows,
    check_shapes,
)
from embench.engine.stage import Part
from embench.errors import CheckFailed, DataError, Refusals, UsageError
from embench.files import check_regular, sha256
from embench.interfaces.dataset import Card
from embench.interfaces.pretraining_data import DataUse, PretrainingData
from embench.interfaces.recording import split_modality
from embench.planning.combination import (
    check_source_labels,
    check_training_dataset,
    is_same_target,
    refuse_test_subjects,
)
from embench.planning.graph import make_source_spec
from embench.planning.method import choose_modalities
from embench.planning.parts import FUSION, Method, Origin, Pretraining
from embench.planning.request import Request, assign
from embench.protocols import Protocol, load_protocol
from embench.reasons import Reason
from embench.records import record
from embench.records.manifest import OVERLAP_OF, Overlap
from embench.records.pretraining_comparison import RANDOM
from embench.records.record import strip_variant
from embench.store import Store

# Pretrained weights: from `embench pretrain`, the encoders of a run, a safetensors file, or none.

FILE, MANIFEST = "weights.safetensors", "manifest.yaml"


@dataclass(frozen=True)
class Weights:
    """Weights from which a method's networks start.

    Args:
        files: part of the model (a modality, or `fusion`) -> the file with its weights.
        digests: part of the model -> SHA-256 of the file with its weights.
        manifest: manifest of weights that `embench pretrain` or `convert` wrote; None for other weights.
        run: `run.yaml` of the run whose networks these are; None for other weights."""

    files: Mapping[str, Path] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, Any] | None = None
    run: Mapping[str, Any] | None = None

    @property
    def places(self) -> dict[str, str]:
        """SHA-256 of each file -> its path."""
        return {digest: str(self.files[part]) for part, digest in self.digests.items()}

    @property
    def dataset(self) -> str | None:
        """Full name of the dataset of the last training; None if unknown."""
        return next((str(entry["dataset"]) for entry in reversed(self.seen())), None)

    @property
    def data(self) -> str | None:
        """Key of the prepared data of the last training; None if unknown."""
        return next((str(entry["store"]) for entry in reversed(self.seen())), None)

    def channels(self, m: str) -> Sequence[str]:
        """Return the channel names that a modality's pretrained encoder reads; empty if they are not recorded."""
        return self.manifest["channels"].get(m, ()) if self.manifest else ()

    def seen(self) -> list[dict[str, Any]]:
        """Return the training data of the weights, with an entry for each dataset, or two if labels of the dataset were
        used in one training and not in another. Empty if the training data are unknown."""
        if self.manifest:
            return [dict(entry) for entry in self.manifest["seen"]]
        if self.run is None:
            return []
        dataset, config = self.run["dataset"], self.run["config"]
        fitted = {
            "dataset": config.get("train_dataset") or dataset["name"],
            "store": config.get("train_data", dataset["fingerprint"]),
            "synthetic": dataset["synthetic"] is not None,
            "subjects": self.run["cohort"]["subjects"],
            "labels": "source",
        }
        return [fitted, *map(dict, self.run.get("pretraining", []))]

    def overlap(self, dataset: str, marks: Collection[str]) -> Overlap:
        """Return which data of a dataset's subjects the weights were trained on: `labelled_target` (labels),
        `unlabelled_target` (only signals) or `none`. Return `unknown` if no training data are recorded, or if the
        weights are of a run that started from other weights.

        Args:
            dataset: full name; variants have the same subjects.
            marks: marks of the dataset's files, from `Source.file_marks`."""
        if self.manifest is None and (self.run is None or self.run["config"]["pretrained"]):
            return "unknown"
        if self.manifest is not None and not self.manifest["seen"]:  # unknown for converted weights
            return "unknown"
        ours = [entry for entry in self.seen() if strip_variant(entry["dataset"]) == strip_variant(dataset)]
        if any(entry.get("labels") == "source" for entry in ours):
            return "labelled_target"
        shared = self.manifest and set(self.manifest["files"]) & set(marks)
        pretrained_on = self.run["config"]["pretrained_on"] if self.run else ()
        if ours or shared or any(strip_variant(name) == strip_variant(dataset) for name in pretrained_on):
            return "unlabelled_target"
        return "none"

    def summary(self) -> dict[str, Any]:
        """Return the origin of the weights for a run's record, with the number of subjects instead of their names."""
        manifest = None
        if self.manifest:
            known = {name: value for name, value in self.manifest.items() if name != "files"}
            manifest = {**known, "seen": [count_subjects(entry) for entry in self.seen()]}
        return {"weights": dict(self.digests), "manifest": manifest, "run": self.run["id"] if self.run else None}


def find_bundled_weights(method: Method) -> dict[str, PretrainingData | None]:
    """Return a mapping for the encoders that include pretrained weights: modality -> training data of these weights,
    None if the data are unknown."""
    return {
        m: registry.load_plugin("encoder", part.name)(part.recipe).pretraining_data()
        for m, part in method.encoders.items()
        if part.assets
    }


def find_seen(data: PretrainingData | None, dataset: str) -> DataUse:
    """Return which data of a dataset's subjects weights were trained on. `data`: training data of the weights; None if
    they are unknown."""
    return "undisclosed" if data is None else data.look_up(re.split("[/:]", strip_variant(dataset))[-1])


def find_bundled_overlap(method: Method, dataset: str) -> list[Overlap]:
    """Return which data of a dataset's subjects were used by each encoder that includes weights."""
    return [OVERLAP_OF[find_seen(data, dataset)] for data in find_bundled_weights(method).values()]


def find_weights(text: str, runs: Path, method: Method) -> Weights:
    """Return the weights that a text names, one file for each part of a method's model.

    Args:
        text: a folder that `embench pretrain` wrote, or its id; the folder or id of a run, whose first networks are
            taken; or a `.safetensors` file.

    Raises:
        DataError: the file or run does not exist or cannot be read.
        CheckFailed: the weights, their manifest or their run changed after they were written.
        UsageError: the file is of another kind, or the weights belong to other encoders or modalities."""
    path = Path(text)
    if not path.exists():
        found = sorted(runs.glob(f"*/{text}"))
        if not found:
            raise DataError(
                f"cannot find the weights `{text}`",
                where="--pretrained",
                expected="a .safetensors file, or the folder or id of a run or pretraining",
            )
        path = found[0]
    if path.name == FILE and (path.parent / MANIFEST).is_file():
        path = path.parent
    manifest = run = None
    if (path / MANIFEST).is_file():  # written by `embench pretrain`
        manifest = _read_manifest(path / MANIFEST)
        _check_encoders(text, method, {m: encoder["plugin"] for m, encoder in manifest["encoders"].items()})
        _check_prepared(text, method, manifest)
        files = dict.fromkeys(method.modalities, path / FILE)
        if manifest["fusion"] and _is_same_model(method, manifest):
            files[FUSION] = path / FILE
    elif path.is_dir():  # a run
        run = record.read_run(path) if (path / record.RUN_FILE).is_file() else None
        if run:
            _check_encoders(text, method, run["method"]["encoders"])
        files = {m: _find_network(path, m) for m in method.modalities}
    else:  # a file, which may be in the folder `weights` of a run
        path, file = path.parent.parent, path
        run = record.read_run(path) if (path / record.RUN_FILE).is_file() else None
        files = dict.fromkeys(method.modalities, file)
    digests = {file: _hash_weights(file) for file in dict.fromkeys(files.values())}
    if manifest and digests[path / FILE] != manifest.get("sha256", digests[path / FILE]):
        raise CheckFailed(
            "the weights differ from their manifest",
            where=str(path / FILE),
            expected=f"a file of SHA-256 {manifest['sha256']}",
            hint="restore the file; or delete the folder and rerun `embench pretrain`",
        )
    if run:
        record.check_neighbours(
            path, run, [f"weights/{file.name}" for file in digests if file.parent.name == "weights"]
        )
    return Weights(
        {part: file.resolve() for part, file in files.items()},
        {part: digests[file] for part, file in files.items()},
        manifest,
        run,
    )


_OF_PRETRAINING = re.compile(r"pretrainer\b|encoder(\[.+\])?\.build\.weights\s*=")


def randomise_weights(request: Request, card: Card) -> Request:
    """Return the request with `--pretrained random`, without other weights and pretrainers. Frozen parts then stay
    random. Raises UsageError if a modality or an encoder is unknown."""
    modalities = choose_modalities(request, card, list(card.modalities))
    loading = [m for m, name in assign(request.encoders, modalities, "encoder").items() if _accepts_weights(name)]
    settings = [text for text in request.settings if not _OF_PRETRAINING.match(text)]
    if loading == list(modalities):
        settings.append(f"encoder.build.weights={RANDOM}")
    else:
        settings += [f"encoder[{m}].build.weights={RANDOM}" for m in loading]
    return replace(request, pretrained=RANDOM, pretrainers=(), settings=tuple(settings))


def _accepts_weights(encoder: str) -> bool:
    """Return True if an encoder has the setting `build.weights`."""
    return any("weights" in recipe.build for recipe in registry.load_plugin("encoder", encoder).recipes.values())


def list_data_seen(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the description of each dataset that a pretraining used, from the result of its stage."""
    return [result["manifest"], *result.get("beside", ())]


def merge_seen(manifests: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the merged training data of stages, from the stages' `manifests`: one entry for each prepared dataset and
    use of labels, with the subjects and hours of all stages."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for manifest in manifests:
        key = (manifest["store"], manifest["labels"])
        before = found.get(key, {"subjects": [], "recordings": 0, "hours": {}})
        found[key] = {
            **manifest,
            "subjects": sorted({*before["subjects"], *manifest["subjects"]}),
            "recordings": max(before["recordings"], manifest["recordings"]),
            "hours": {**before["hours"], **manifest["hours"]},
        }
    return list(found.values())


def count_subjects(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of recorded training data with the number of subjects in place of their names. None, which stands
    for unknown subjects, stays."""
    subjects = entry["subjects"]
    return {**entry, "subjects": len(subjects) if isinstance(subjects, list) else subjects}


def _bare(plugin: str) -> str:
    """Return the name of a plugin without package and path."""
    return plugin.rpartition(":")[2].rpartition("/")[2]


def _check_encoders(text: str, method: Method, encoders: Mapping[str, str]) -> None:
    """Raise UsageError if weights lack a modality of the method, or belong to other encoders than the method's.

    Args:
        text: the value of `--pretrained`. `encoders`: modality -> encoder plugin of the weights."""
    for m in method.modalities:
        if m not in encoders:
            raise UsageError(
                f"these weights have no encoder for {m}",
                where=f"--pretrained {text}",
                expected=f"modalities among {', '.join(encoders)}",
                hint="choose one of these with --modalities, or pretrain that modality too",
            )
        if _bare(encoders[m]) != method.encoders[m].short:
            raise UsageError(
                f"these weights belong to encoder {_bare(encoders[m])} for {m}, not to {method.encoders[m].short}",
                where=f"--pretrained {text}",
                expected=f"--encoder {m}={_bare(encoders[m])}",
            )


def _check_prepared(text: str, method: Method, manifest: Mapping[str, Any]) -> None:
    """Raise UsageError if the weights were trained on signals of another rate or preparation than the method's.

    Args:
        text: the value of `--pretrained`. `manifest`: manifest of the weights."""
    for m in method.modalities:
        theirs, ours = manifest["encoders"][m]["recipe"]["prepare"], dict(method.encoders[m].recipe.prepare)
        for key in theirs.keys() | ours.keys():
            if theirs.get(key) != ours.get(key):
                raise UsageError(
                    f"these weights were trained on signals with prepare.{key}={theirs.get(key)} for {m}, but the "
                    f"run uses {ours.get(key)}",
                    where=f"--pretrained {text}",
                    expected=f"--set encoder[{m}].prepare.{key}={theirs.get(key)}, or the --recipe of the pretraining",
                )


def _is_same_model(method: Method, manifest: Mapping[str, Any]) -> bool:
    """Return True if the weights of a manifest contain the method's fusion, pretrained on the method's modalities."""
    return (
        method.joins == "tokens"
        and _bare(manifest["fusion"]["plugin"]) == method.fusion.short
        and set(manifest["modalities"]) == set(method.modalities)
    )


def _find_network(folder: Path, modality: str) -> Path:
    """Return the first file with the encoder of a modality among the weights of the run in `folder`: the file of this
    encoder alone if there is one, as for frozen encoders, or the first file of whole networks."""
    files = sorted((folder / "weights").glob("*.safetensors"))
    if not files:
        raise DataError("this run has no weights", where=str(folder / "weights"), hint="estimators have no weights")
    return next((file for file in files if file.stem.endswith(f"-{modality}")), files[0])


def _hash_weights(path: Path) -> str:
    """Return the SHA-256 of a file of weights. Raises UsageError or DataError if it is not a sound safetensors file."""
    if path.suffix != ".safetensors":
        raise UsageError(
            f"{path.name} is not a safetensors file",
            where=f"--pretrained {path}",
            expected="NAME.safetensors",
            hint=f"for a torch checkpoint: embench weights convert {shlex.quote(str(path))} --out DIR",
        )
    try:
        check_regular(path)
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118  it is no mapping
                file.get_tensor(name)
        return sha256(path)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"cannot read the weights: {error}", where=str(path), expected="a complete safetensors file"
        ) from error


def _read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest of weights. Raises UsageError or DataError if it does not describe networks of embench."""
    content = record.read_sealed(path)
    if isinstance(content, dict) and "converted" in content and not content["encoders"]:
        raise UsageError(
            f"these weights have the layout {content['converted']['layout']}, which an encoder reads through its "
            "setting `weights`",
            where=str(path.parent),
            expected="weights with the parameter names of embench networks",
            hint=f"--set encoder.build.weights={path.parent}",
        )
    wanted = ("encoders", "fusion", "modalities", "channels", "seen", "files")
    if not isinstance(content, dict) or (missing := [name for name in wanted if name not in content]):
        raise DataError(
            "this is not a manifest of pretrained weights",
            where=str(path),
            expected=f"keys {', '.join(wanted if not isinstance(content, dict) else missing)}",
        )
    return content


# Other data of a method besides the test dataset: pretraining sources, weights, and the training dataset; checks that
# each step fits the next, and sensor sites on the way.


def check_data_present(method: Method, *data: Source | None) -> Method:
    """Return the method. Raises DataError, before any data are read, if a dataset in `data` or a source of the method's
    pretraining is missing."""
    others = (source for step in method.pretraining for source in step.sources)
    for source in filter(None, (*data, *others)):
        _ = source.reader
    return method


def sources(
    tested: Source, train_source: Source | None, method: Method, protocol: Protocol, test: Cohort, workers: int
) -> dict[Origin, Cohort]:
    """Return a mapping: origin, a source dataset of pretraining and its use of labels -> the cohort to train on.

    Args:
        tested: the test dataset. `test`: its cohort. `train_source`: the training dataset, if it is another one.

    Raises:
        UsageError: a source lacks a modality to pretrain on, lacks required labels, or contains test subjects.
        DataError: the data of a source are missing or bad."""
    found: dict[Origin, Cohort] = {}
    for step in method.pretraining:
        for source in step.sources:
            relevant = step.labels == "source" or len(step.sources) + step.own > 1
            refuse_test_subjects(step, source, tested, train_source, shared=relevant and source.shares_files(tested))
            wanted = [target.name for target in test.targets]
            origin = (source, step.labels)
            if origin in found:  # of a step on other modalities
                _check_source(step, method, found[origin].store, found[origin].card)
            else:
                found[origin] = load_source(source, step, method, wanted, protocol, workers)
    return found


def load_source(
    source: Source, step: Pretraining, method: Method, wanted: Sequence[str], protocol: Protocol, workers: int
) -> Cohort:
    """Return the cohort of a pretraining step's source dataset: all subjects for a step without labels, the labelled
    subjects for a step with labels. Targets are those on the dataset's card with a name in `wanted`, or the default
    targets if no name matches.

    Raises:
        UsageError: the source lacks a modality of the step, or lacks the labels that the step needs."""
    store = source.prepared(protocol, workers)
    card = card_for_protocol(protocol, source.card, tested=False)
    _check_source(step, method, store, card)
    if step.labels == "none":
        return unlabelled_cohort(store, card, protocol)
    check_source_labels(step, source, card)
    common = [target.name for target in card.targets if target.name in wanted]
    rules = protocol.without_calibration()
    return build_cohort(store, card, choose_targets(card, ",".join(common) or None), method.modalities, rules)


def _check_source(step: Pretraining, method: Method, store: Store, card: Card) -> None:
    """Raise UsageError if a source dataset lacks a modality that a pretraining step trains on."""
    for m in method.find_trained_modalities(step):
        _check_modality(store, card, m, f"{step.part.short} would learn from", step.option)


def share_defaults(
    request: Request, train_source: Source, protocol: Protocol, card: Card, refusals: Refusals
) -> Request:
    """Return the request with the modalities and targets that it leaves open: defaults that the two datasets share. If
    they share no default modality or no target, the field stays open, and the fault is added to `refusals`."""
    other = card_for_protocol(protocol, train_source.card)
    modalities, names = request.modalities, request.targets
    if modalities is None:
        cards = {request.source.full_name: card, train_source.full_name: other}
        modalities = ",".join(
            m
            for m in card.default_modalities
            if m in other.modalities
            and channels.all_fit(*(_find_card_channels(name, each, m) for name, each in cards.items()))
        )
    if names is None:
        defaults = choose_targets(card, None)
        names = ",".join(one.name for one in defaults if any(is_same_target(one, two) for two in other.targets))
    for what, chosen, others in (
        ("modality with the same channels", modalities, list(other.modalities)),
        ("target of one kind", names, [t.name for t in other.targets]),
    ):
        with refusals:
            if not chosen:
                raise UsageError(
                    f"{card.name} and {other.name} share no {what} among the defaults of {card.name}",
                    where=f"--train-dataset {request.train_dataset}",
                    expected=f"one of the {what}s of {other.name}: {', '.join(others) or 'none'}",
                )
    return replace(request, modalities=modalities or None, targets=names or None)


def trained_on(
    source: Source, test_source: Source, method: Method, protocol: Protocol, test: Cohort, workers: int
) -> Cohort:
    """Return the training cohort: all subjects of another dataset than the test dataset, with the label rules of their
    own dataset's card.

    Args:
        source: the training dataset. `test_source`: the test dataset. `test`: the tested cohort.

    Raises:
        UsageError: the training dataset lacks a modality or target of the run, defines a target in another way, or
            contains test subjects; or the protocol does not allow another training dataset.
        DataError: the training data are missing or bad."""
    refusals, shared = Refusals(), source.shares_files(test_source)
    check_training_dataset(source, test.card, method, protocol, test.targets, refusals, shared=shared)
    refusals.raise_all()
    where, card = f"--train-dataset {source.name}", card_for_protocol(protocol, source.card)
    store = source.prepared(protocol, workers)
    for m, part in method.encoders.items():
        _check_modality(store, card, m, f"{part.short} would be trained on", where)
    targets = choose_targets(card, ",".join(t.name for t in test.targets))
    return build_cohort(store, card, targets, method.modalities, protocol)


class _Step(NamedTuple):
    """A step of training: the site, the modalities whose encoders are trained, whether the fusion is trained too
    (`whole`), and the option that asks for the step, for messages (`where`)."""

    site: Site
    modalities: Sequence[str]
    whole: bool
    where: str


def check_handovers(
    method: Method,
    protocol: Protocol,
    fit: Cohort,
    test: Cohort,
    sources: Mapping[Origin, Cohort],
    started: Weights | None,
) -> dict[str, Reason]:
    """Check that each network reads the same channels, with tensors of the same shapes, from its initial weights
    through all pretraining steps to its training and test data. Return modality -> sensor sites in words, for
    modalities whose sensor sites differ between steps.

    Raises:
        UsageError: channels or shapes differ."""
    for step in method.pretraining:
        check_mixed(method, step, protocol, _list_cohorts(step, fit, sources))
    learned: dict[str, Site] = {}  # modality or fusion -> step in which it was last trained
    stops: dict[str, list[tuple[str, Sequence[Channel]]]] = {m: [] for m in method.modalities}
    for site, modalities, whole, where in _list_steps(method, protocol, fit, sources):
        parts = {m: method.encoders[m] for m in modalities}
        for m, part in parts.items():
            if m in learned:
                check_channels(learned[m], site, m, part, where)
                check_shapes(learned[m], site, {m: part}, None, where)
            elif started:
                current = channels_read(site, m, part)
                if before := _find_learned_channels(started, m, part, site, current):
                    stops[m].append(("pretrained", before))
                    source = site.name if started.data == site.store.key else f"weights of {started.dataset}"
                    channels.check_fit(part.short, m, (source, before), (site.name, current), str(started.files[m]))
                check_file(started.files[m], f"encoders.{m}", site, {m: part}, None)
            stops[m].append(("pretrained", channels_at(site, m)))
        if whole and FUSION in learned:
            check_shapes(learned[FUSION], site, parts, method.fusion, where)
        elif whole and started and FUSION in started.files:
            check_file(started.files[FUSION], FUSION, site, parts, method.fusion)
        learned |= dict.fromkeys([*modalities, *([FUSION] if whole else [])], site)
    tested = _make_site(protocol, test)
    for m, part in method.encoders.items():
        *earlier, (_, last) = stops[m]
        if test is not fit:
            check_channels(_make_site(protocol, fit), tested, m, part, "--train-dataset")
            earlier.append(("trained", last))
        stops[m] = [*earlier, ("tested", channels_at(tested, m))]
    return {m: words for m, steps in stops.items() if (words := channels.describe_sites(steps))}


def _find_learned_channels(
    started: Weights, m: str, part: Part, site: Site, current: Sequence[Channel]
) -> Sequence[Channel]:
    """Return the channels of the modality `m` that initial weights read. They come from the weights' manifest, or from
    the card of the weights' training dataset if the manifest states none. Empty if neither is known.

    Args:
        site: the dataset whose training follows. `current`: its channels."""
    names: Sequence[str] = started.channels(m)
    known: tuple[Channel, ...] = ()
    entry = next((e for e in registry.entries("dataset") if e.full_name == started.dataset and not e.broken), None)
    if entry:
        card = registry.load_plugin("dataset", entry.full_name).card
        known = (
            _find_card_channels(entry.full_name, card, m) if set(split_modality(m)) <= card.modalities.keys() else ()
        )
    if not names:
        return channels_read(site, m, part, known) if known else ()
    kinds = [channel.modality for channel in current] if len(current) == len(names) else [m] * len(names)
    return [
        next(
            (channel for channel in known if channel.name == name), Channel.from_name(kind, name, alone=len(names) == 1)
        )
        for kind, name in zip(kinds, names, strict=True)
    ]


def _list_steps(method: Method, protocol: Protocol, fit: Cohort, sources: Mapping[Origin, Cohort]) -> Iterator[_Step]:
    """Yield the steps in which a method learns: one for each dataset of each pretraining step, then the training.

    Args:
        fit: the training cohort. `sources`: origin -> cohort of a source of pretraining."""
    named = ""
    for step in method.pretraining:
        named = step.option
        for cohort in _list_cohorts(step, fit, sources):
            yield _Step(
                _make_site(protocol, cohort), method.find_trained_modalities(step), step.modality is None, named
            )
    yield _Step(_make_site(protocol, fit), method.modalities, method.joins == "tokens", named)


def _list_cohorts(step: Pretraining, fit: Cohort, sources: Mapping[Origin, Cohort]) -> list[Cohort]:
    """Return the cohorts on which a pretraining step trains."""
    return [*([fit] if step.own else []), *(sources[source, step.labels] for source in step.sources)]


def check_mixed(method: Method, step: Pretraining, protocol: Protocol, cohorts: Sequence[Cohort]) -> None:
    """Check that a pretraining step can learn from several datasets (`cohorts`) at once. Raises UsageError if channels,
    rates or lengths differ, or if only the subjects of the run's dataset are normalised by calibration data."""
    if step.own and step.sources and protocol.normalise == "given":
        raise UsageError(
            f"under {protocol.name}, test subjects are normalised by their calibration data and other datasets by "
            "all their data, so a network could tell them apart",
            where=step.option,
            expected="one pretraining after the other: "
            + " ".join(
                f"--pretrainer {each}"
                for each in (f"{step.part.short}:{'+'.join(source.name for source in step.sources)}", step.part.short)
            ),
        )
    first, *others = (_make_site(protocol, cohort) for cohort in cohorts)
    for other in others:
        for m in method.find_trained_modalities(step):
            check_channels(first, other, m, method.encoders[m], step.option)
            check_rows(first, other, m, method.encoders[m], step.option)


def _make_site(protocol: Protocol, cohort: Cohort) -> Site:
    """Return the dataset of a cohort as a place where networks are trained or tested under the protocol."""
    return Site(cohort.card.name, cohort.store, make_source_spec(protocol, cohort))


def _check_modality(store: Store, card: Card, modality: str, reader: str, where: str) -> None:
    """Raise UsageError if prepared data lack a modality or a channel of one. `reader`: see `check_available`."""
    available = {m: entry.channels for m, entry in store.modalities.items()}
    channels.check_available(card.name, available, modality, reader, where)


def _find_card_channels(name: str, card: Card, modality: str) -> tuple[Channel, ...]:
    """Return the channels of a modality that the card of the dataset `name` states."""
    return channels.find_channels(name, {m: entry.channels for m, entry in card.modalities.items()}, modality)


def check_rest_alone(protocol: Protocol, dataset: str, overlap: str, where: str) -> None:
    """Raise UsageError if pretraining used test subjects of whom the protocol allows only the resting period."""
    if protocol.normalise == "baseline" and overlap in ("unlabelled_target", "labelled_target"):
        raise UsageError(
            f"pretraining used test subjects of {dataset}, but {protocol.name} allows only their resting data",
            where=where,
            expected="pretraining on the training subjects of each fold, or on other datasets",
        )


# Requests that stand for several: numbers of labelled subjects, proportions of labels, lags, calibration data, removed
# modalities.

DROP_EACH, DROP_ALL = "each", "all"


def expand_axes(request: Request) -> list[Request]:
    """Return one request for each combination of values of `request`. Its `label_subjects`, `label_fraction`, `lag` and
    `calibration_data` may contain several comma-separated values. `drop` may be `each` (nothing, then every single
    modality) or `all` (nothing, then every subset except the full set).

    Raises:
        UsageError: names do not fit, or `drop` would remove the only modality."""
    return [
        replace(request, label_subjects=count, label_fraction=share, lag=lag, calibration_data=given, drop=drop)
        for count in _split_values(request.label_subjects)
        for share in _split_values(request.label_fraction)
        for lag in _split_values(request.lag)
        for given in _split_values(request.calibration_data)
        for drop in _expand_drop(request)
    ]


def _split_values(text: str | None) -> list[str | None]:
    """Return the comma-separated values of a text; `[None]` if the text is None or empty."""
    return [part.strip() for part in text.split(",")] if text else [None]


def _expand_drop(request: Request) -> list[str | None]:
    """Return the values for which a request's `drop` stands: several for `each` and `all`, the value itself if it is
    any other. Raises UsageError if the method has only one modality, of which none can be dropped."""
    if request.drop not in (DROP_EACH, DROP_ALL):
        return [request.drop]
    modalities = _find_modalities(request)
    if len(modalities) < 2:
        raise UsageError(
            f"the run has only one modality, {modalities[0]}, so no modality can be dropped",
            where=f"--drop {request.drop}",
            expected="several --modalities",
        )
    sizes = range(1, 2 if request.drop == DROP_EACH else len(modalities))
    return [None, *(",".join(some) for size in sizes for some in combinations(modalities, size))]


def _find_modalities(request: Request) -> tuple[str, ...]:
    """Return the modalities that a request's method reads, without reading data."""
    card = request.card
    if train_source := request.train_source:
        refusals = Refusals()
        request = share_defaults(request, train_source, load_protocol(request.protocol), card, refusals)
        refusals.raise_all()
    return choose_modalities(request, card, list(card.modalities))
