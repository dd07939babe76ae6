"""Weights to start from, the datasets that a method has seen, and requests that stand for several."""

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
from embench.errors import CheckFailed, DataError, UsageError
from embench.files import sha256
from embench.interfaces.dataset import Card
from embench.interfaces.pretraining_data import PretrainingData, Saw
from embench.interfaces.recording import names_in
from embench.interfaces.units import Target
from embench.planning.graph import source_spec
from embench.planning.method import chosen_modalities
from embench.planning.parts import FUSION, Method, Origin, Pretraining
from embench.planning.request import Request, assign
from embench.protocols import Protocol, load_protocol
from embench.records import record
from embench.records.manifest import OVERLAP_OF, Overlap
from embench.records.pretraining_comparison import RANDOM
from embench.records.record import family_of
from embench.store import Store

# Weights to start from: what `embench pretrain` made, the encoders of a run, a bare safetensors file, or none.

FILE, MANIFEST = "weights.safetensors", "manifest.yaml"


@dataclass(frozen=True)
class Weights:
    """`files` says what each part of a model, a modality or `fusion`, starts from, and `digests` are those files'
    SHA-256. `manifest` is what lies beside pretrained weights, `run` a run's record; None where there is none."""

    files: Mapping[str, Path] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, Any] | None = None
    run: Mapping[str, Any] | None = None

    @property
    def places(self) -> dict[str, str]:
        """Digest -> file."""
        return {digest: str(self.files[part]) for part, digest in self.digests.items()}

    @property
    def dataset(self) -> str | None:
        """Full name of the dataset that they were trained on last; None where it is not known."""
        return next((str(entry["dataset"]) for entry in reversed(self.seen())), None)

    @property
    def data(self) -> str | None:
        """The key of that dataset's prepared data; None where it is not known."""
        return next((str(entry["store"]) for entry in reversed(self.seen())), None)

    def channels(self, m: str) -> Sequence[str]:
        """The names of the channels that a modality's pretrained encoder reads, as far as they are on record."""
        return self.manifest["channels"].get(m, ()) if self.manifest else ()

    def seen(self) -> list[dict[str, Any]]:
        """Data that the weights were trained on, one entry per dataset and use of its labels."""
        if self.manifest:
            return [as_recorded(entry) for entry in self.manifest["seen"]]
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
        """Relation of a dataset's subjects to those behind the weights: `labelled_target` where their labels were used,
        `unlabelled_target` where only their signals were, else `none`; `unknown` where nothing is on record, or a run
        itself started from other weights.

        Args:
            dataset: full name; its variants are of the same subjects.
            marks: of its files, as `Source.file_marks` gives them.
        """
        if self.manifest is None and (self.run is None or self.run["config"]["pretrained"]):
            return "unknown"
        if self.manifest is not None and not self.manifest["seen"]:  # of converted weights that nobody knows
            return "unknown"
        ours = [entry for entry in self.seen() if family_of(entry["dataset"]) == family_of(dataset)]
        if any(entry.get("labels") == "source" for entry in ours):
            return "labelled_target"
        shared = self.manifest and set(self.manifest["files"]) & set(marks)
        pretrained_on = self.run["config"]["pretrained_on"] if self.run else ()
        if ours or shared or any(family_of(name) == family_of(dataset) for name in pretrained_on):
            return "unlabelled_target"
        return "none"

    def summary(self) -> dict[str, Any]:
        """The origin of the weights for a run's record, subjects by their number."""
        manifest = None
        if self.manifest:
            known = {name: value for name, value in self.manifest.items() if name != "files"}
            manifest = {**known, "seen": [count_subjects(entry) for entry in self.seen()]}
        return {"weights": dict(self.digests), "manifest": manifest, "run": self.run["id"] if self.run else None}


def own_weights(method: Method) -> dict[str, PretrainingData | None]:
    """Modality -> what is known of the weights that its encoder brings with it; None where nothing is."""
    return {
        m: registry.load("encoder", part.name)(part.recipe).pretraining_data()
        for m, part in method.encoders.items()
        if part.assets
    }


def seen_by(data: PretrainingData | None, dataset: str) -> Saw:
    """The data of a dataset's people that weights saw, by its full name."""
    return "undisclosed" if data is None else data.of(re.split("[/:]", family_of(dataset))[-1])


def own_overlap(method: Method, dataset: str) -> list[Overlap]:
    """Relation of a dataset's subjects to those behind the weights that each encoder brings with it."""
    return [OVERLAP_OF[seen_by(data, dataset)] for data in own_weights(method).values()]


def find_weights(text: str, runs: Path, method: Method) -> Weights:
    """The weights that a text means for a method.

    Args:
        text: a folder that `embench pretrain` wrote, or its id; the folder or id of a run, whose first networks are
            taken; or a `.safetensors` file.

    Raises:
        DataError: there is no such file or run, or it cannot be read. CheckFailed: weights or what is known of them
            were changed after they were written. UsageError: the file is of another kind, or the weights are of other
            encoders or modalities.
    """
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
    if (path / MANIFEST).is_file():
        manifest = _manifest(path / MANIFEST)
        _check(text, method, {m: encoder["plugin"] for m, encoder in manifest["encoders"].items()})
        _check_prepared(text, method, manifest)
        files = dict.fromkeys(method.modalities, path / FILE)
        if manifest["fusion"] and _same_model(method, manifest):
            files[FUSION] = path / FILE
    elif path.is_dir():
        run = record.read_run(path) if (path / record.RUN_FILE).is_file() else None
        if run:
            _check(text, method, run["method"]["encoders"])
        files = {m: _of_run(path, m) for m in method.modalities}
    else:
        path, file = path.parent.parent, path
        run = record.read_run(path) if (path / record.RUN_FILE).is_file() else None
        files = dict.fromkeys(method.modalities, file)
    digests = {file: _digest(file) for file in dict.fromkeys(files.values())}
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


def at_random(request: Request, card: Card) -> Request:
    """The request of `--pretrained random`: without the weights and pretrainers that it names, and all else as it is;
    what it freezes is then frozen as it was drawn. Raises UsageError where a modality or an encoder is unknown."""
    modalities = chosen_modalities(request, card, list(card.modalities))
    doors = [m for m, name in assign(request.encoders, modalities, "encoder").items() if _has_door(name)]
    kept = [text for text in request.settings if not _OF_PRETRAINING.match(text)]
    if doors == list(modalities):
        kept.append(f"encoder.build.weights={RANDOM}")
    else:
        kept += [f"encoder[{m}].build.weights={RANDOM}" for m in doors]
    return replace(request, pretrained=RANDOM, pretrainers=(), settings=tuple(kept))


def _has_door(encoder: str) -> bool:
    """True of an encoder that may start from weights by itself."""
    return any("weights" in recipe.build for recipe in registry.load("encoder", encoder).recipes.values())


def check_used(request: Request, method: Method) -> None:
    """Refuses weights of a method that trains no network. Raises UsageError."""
    by_themselves = any("weights" in part.recipe.build for part in method.encoders.values())
    if request.pretrained and method.inputs == "features" and not (request.pretrained == RANDOM and by_themselves):
        raise UsageError(
            f"{method.fusion.short} is fitted on features, and weights do not change them",
            where=f"--pretrained {request.pretrained}",
        )


def data_seen(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The description of each dataset that a pretraining saw, of the result of its stage."""
    return [result["manifest"], *result.get("beside", ())]


def merged(manifests: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Training data of several stages: each source and use of its labels once, with the subjects and hours of all."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in manifests:
        key = (one["store"], one["labels"])
        before = found.get(key, {"people": [], "recordings": 0, "hours": {}})
        found[key] = {
            **one,
            "people": sorted({*before["people"], *one["people"]}),
            "recordings": max(before["recordings"], one["recordings"]),
            "hours": {**before["hours"], **one["hours"]},
        }
    return list(found.values())


def as_recorded(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of what stages saw under the names of a run's record: stages, and manifests of weights, say `people`."""
    return {"subjects" if name == "people" else name: value for name, value in entry.items()}


def count_subjects(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded entry with the number of subjects in place of their names; None where it is not known."""
    subjects = entry["subjects"]
    return {**entry, "subjects": len(subjects) if isinstance(subjects, list) else subjects}


def _short(plugin: str) -> str:
    return plugin.rpartition(":")[2].rpartition("/")[2]


def _check(text: str, method: Method, encoders: Mapping[str, str]) -> None:
    """Refuses weights that have no encoder of a modality, or that of another plugin."""
    for m in method.modalities:
        if m not in encoders:
            raise UsageError(
                f"these weights have no encoder for {m}",
                where=f"--pretrained {text}",
                expected=f"modalities among {', '.join(encoders)}",
                hint="choose one of these with --modalities, or pretrain that modality too",
            )
        if _short(encoders[m]) != method.encoders[m].short:
            raise UsageError(
                f"these weights belong to encoder {_short(encoders[m])} for {m}, not to {method.encoders[m].short}",
                where=f"--pretrained {text}",
                expected=f"--encoder {m}={_short(encoders[m])}",
            )


def _check_prepared(text: str, method: Method, manifest: Mapping[str, Any]) -> None:
    """Refuses weights of an encoder that saw its signals at another rate, or otherwise prepared."""
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


def _same_model(method: Method, manifest: Mapping[str, Any]) -> bool:
    """True if the method's fusion is the pretrained one, over the same modalities."""
    return (
        method.joins == "tokens"
        and _short(manifest["fusion"]["plugin"]) == method.fusion.short
        and set(manifest["modalities"]) == set(method.modalities)
    )


def _of_run(folder: Path, modality: str) -> Path:
    """The first network of a run that has a modality's encoder: frozen ones are in files of their own."""
    files = sorted((folder / "weights").glob("*.safetensors"))
    if not files:
        raise DataError("this run has no weights", where=str(folder / "weights"), hint="estimators have no weights")
    return next((file for file in files if file.stem.endswith(f"-{modality}")), files[0])


def _digest(path: Path) -> str:
    if path.suffix != ".safetensors":
        raise UsageError(
            f"{path.name} is not a safetensors file",
            where=f"--pretrained {path}",
            expected="NAME.safetensors",
            hint=f"for a torch checkpoint: embench weights convert {shlex.quote(str(path))} --out DIR",
        )
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118  it is no mapping
                file.get_tensor(name)
        return sha256(path)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"cannot read the weights: {error}", where=str(path), expected="a complete safetensors file"
        ) from error


def _manifest(path: Path) -> dict[str, Any]:
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


# Origins of a method besides the tested dataset: the sources of its pretraining, weights, and the dataset that it is
# trained on; checks that it can go from each to the next, and places of sensors on the way.


def with_data(method: Method, *data: Source | None) -> Method:
    """The method. Raises DataError where data of its run are missing, before any are read or weights downloaded."""
    others = (source for step in method.pretraining for source in step.sources)
    for source in filter(None, (*data, *others)):
        _ = source.reader
    return method


def sources(
    tested: Source, train_source: Source | None, method: Method, protocol: Protocol, test: Cohort, workers: int
) -> dict[Origin, Cohort]:
    """The cohort of every external source of a method that is tested on `test`.

    Raises:
        UsageError: a source lacks what is pretrained, has no labels where they are wanted, or its subjects are those
            that are tested. DataError: its data are missing or bad.
    """
    found: dict[Origin, Cohort] = {}
    for step in method.pretraining:
        for source in step.sources:
            shared = (step.labels == "source" or len(step.sources) + step.own > 1) and source.shares_files(tested)
            if step.labels == "source" and shared:
                raise UsageError(
                    f"{source.name} contains subjects of {test.card.name}, so the method would learn from test labels",
                    where=step.option,
                    expected="a dataset of other subjects",
                )
            if shared:
                raise UsageError(
                    f"{source.name} contains subjects of {tested.name}, so pretraining would include test subjects",
                    where=step.option,
                    expected=f"{tested.name} itself; each fold then uses its training subjects only"
                    if train_source is None
                    else "datasets of other subjects",
                )
            wanted = [target.name for target in test.targets]
            origin = (source, step.labels)
            if origin in found:  # of a step on other modalities
                _check_source(step, method, found[origin].store, found[origin].card)
            else:
                found[origin] = source_of(source, step, method, wanted, protocol, workers)
    return found


def source_of(
    source: Source, step: Pretraining, method: Method, wanted: Sequence[str], protocol: Protocol, workers: int
) -> Cohort:
    """The subjects of a step's source: all, or those with labels. The targets are then those called as
    the `wanted` ones, in the card's order, else the card's default ones.

    Raises:
        UsageError: the source lacks a modality of the step, or has no labels, and the step needs them.
    """
    store = source.prepared(protocol, workers)
    card = card_for_protocol(protocol, source.card, tested=False)
    _check_source(step, method, store, card)
    if step.labels == "none":
        return unlabelled_cohort(store, card, protocol)
    if not card.targets:
        raise UsageError(
            f"{step.part.short} learns from labels, but {card.name} has none",
            where=f"--pretrainer {step.part.short}:{source.name}",
            expected="a dataset with targets",
            hint="without labels: --pretrainer masked_value:" + source.name,
        )
    common = [target.name for target in card.targets if target.name in wanted]
    rules = protocol.giving_nothing()
    return build_cohort(store, card, choose_targets(card, ",".join(common) or None), method.modalities, rules)


def _check_source(step: Pretraining, method: Method, store: Store, card: Card) -> None:
    for m in method.of(step):
        _check_there(store, card, m, f"{step.part.short} would learn from", step.option)


def of_both(request: Request, train_source: Source, protocol: Protocol, card: Card) -> Request:
    """The request with what it leaves open, modalities and targets, set to the tested dataset's default ones as far as
    the dataset that is trained on has them.

    Raises:
        UsageError: they share no default modality or no target.
    """
    other = card_for_protocol(protocol, train_source.card)
    modalities, names = request.modalities, request.targets
    if modalities is None:
        cards = {request.source.full_name: card, train_source.full_name: other}
        modalities = ",".join(
            m
            for m in card.default_modalities
            if m in other.modalities and channels.all_fit(*(_of_card(name, each, m) for name, each in cards.items()))
        )
    if names is None:
        usual = choose_targets(card, None)
        names = ",".join(one.name for one in usual if any(_same_target(one, two) for two in other.targets))
    for what, chosen, others in (
        ("modality with the same channels", modalities, list(other.modalities)),
        ("target of one kind", names, [t.name for t in other.targets]),
    ):
        if not chosen:
            raise UsageError(
                f"{card.name} and {other.name} share no {what} among the defaults of {card.name}",
                where=f"--train-dataset {request.train_dataset}",
                expected=f"one of the {what}s of {other.name}: {', '.join(others)}",
            )
    return replace(request, modalities=modalities, targets=names)


def trained_on(
    source: Source, test_source: Source, method: Method, protocol: Protocol, test: Cohort, workers: int
) -> Cohort:
    """The cohort to train on: all subjects of the other dataset, with its own card's label rules.

    Raises:
        UsageError: it lacks a modality or target of the run, or has it otherwise; or its subjects are those tested.
            DataError: its data are missing or bad.
    """
    where, card = f"--train-dataset {source.name}", card_for_protocol(protocol, source.card)
    if fitted := [t.name for t in test.targets if t.rule.cut == "training_mean"]:
        raise UsageError(
            f"{protocol.name} derives the threshold of {', '.join(fitted)} from training labels of the same dataset",
            where=where,
            expected="a protocol with fixed thresholds, or no --train-dataset",
        )
    if protocol.split.by != "group":
        raise UsageError(
            f"{protocol.name} splits one dataset by {protocol.split.by}, but --train-dataset needs no split: all "
            f"subjects of {card.name} train, and all subjects of {test.card.name} are tested",
            where=where,
            hint=f"--protocol {Request.protocol}",
        )
    if source.shares_files(test_source):
        raise UsageError(
            f"{card.name} contains subjects of the test dataset {test.card.name}, who would be in training and test",
            where=where,
            expected="a dataset of other subjects, or no --train-dataset",
        )
    store = source.prepared(protocol, workers)
    for m, part in method.encoders.items():
        _check_there(store, card, m, f"{part.short} would be trained on", where)
    targets = choose_targets(card, ",".join(t.name for t in test.targets))
    fit = build_cohort(store, card, targets, method.modalities, protocol)
    for tested, fitted_on in zip(test.targets, fit.targets, strict=True):
        if not _same_target(tested, fitted_on):
            ours, theirs = _describe_target(tested), _describe_target(fitted_on)
            raise UsageError(
                f"{tested.name} is {ours} in {test.card.name} but {theirs} in {card.name}",
                where=where,
                expected="targets of the same kind, and values on the same scale",
            )
    return fit


class _Step(NamedTuple):
    """A place where encoders learn, and the fusion over them where the `whole` model does; `where` is for messages."""

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
) -> dict[str, str]:
    """Follows each network from the weights that it starts from, through every step of pretraining, to the data that it
    is fitted on, and to those that it is tested on.

    Returns:
        Each modality whose sensors were not at one place all the way, with the places in words.

    Raises:
        UsageError: from one to the next it would read other channels, or have tensors of other shapes.
    """
    for step in method.pretraining:
        check_mixed(method, step, protocol, _seen_by(step, fit, sources))
    learned: dict[str, Site] = {}  # modality or fusion -> where it learned last
    way: dict[str, list[tuple[str, Sequence[Channel]]]] = {m: [] for m in method.modalities}
    for site, modalities, whole, where in _steps(method, protocol, fit, sources):
        parts = {m: method.encoders[m] for m in modalities}
        for m, part in parts.items():
            if m in learned:
                check_channels(learned[m], site, m, part, where)
                check_shapes(learned[m], site, {m: part}, None, where)
            elif started:
                current = channels_read(site, m, part)
                if before := _channels_of(started, m, part, site, current):
                    way[m].append(("pretrained", before))
                    source = site.name if started.data == site.store.key else f"weights of {started.dataset}"
                    channels.check_fit(part.short, m, (source, before), (site.name, current), str(started.files[m]))
                check_file(started.files[m], f"encoders.{m}", site, {m: part}, None)
            way[m].append(("pretrained", channels_at(site, m)))
        if whole and FUSION in learned:
            check_shapes(learned[FUSION], site, parts, method.fusion, where)
        elif whole and started and FUSION in started.files:
            check_file(started.files[FUSION], FUSION, site, parts, method.fusion)
        learned |= dict.fromkeys([*modalities, *([FUSION] if whole else [])], site)
    tested = _site(protocol, test)
    for m, part in method.encoders.items():
        *earlier, (_, last) = way[m]
        if test is not fit:
            check_channels(_site(protocol, fit), tested, m, part, "--train-dataset")
            earlier.append(("trained", last))
        way[m] = [*earlier, ("tested", channels_at(tested, m))]
    return {m: words for m, stops in way.items() if (words := channels.moved(stops))}


def _channels_of(started: Weights, m: str, part: Part, site: Site, current: Sequence[Channel]) -> Sequence[Channel]:
    """The channels that weights learned from: those that their manifest names; without one, what their encoder would
    read of the dataset of their run, if it is installed; none where neither is known."""
    names: Sequence[str] = started.channels(m)
    known: tuple[Channel, ...] = ()
    entry = next((e for e in registry.entries("dataset") if e.full_name == started.dataset and not e.broken), None)
    if entry:
        card = registry.load("dataset", entry.full_name).card
        known = _of_card(entry.full_name, card, m) if set(names_in(m)) <= card.modalities.keys() else ()
    if not names:
        return channels_read(site, m, part, known) if known else ()
    kinds = [channel.modality for channel in current] if len(current) == len(names) else [m] * len(names)
    return [
        next((channel for channel in known if channel.name == name), Channel.of(kind, name, alone=len(names) == 1))
        for kind, name in zip(kinds, names, strict=True)
    ]


def _steps(method: Method, protocol: Protocol, fit: Cohort, sources: Mapping[Origin, Cohort]) -> Iterator[_Step]:
    named = ""
    for step in method.pretraining:
        named = step.option
        for cohort in _seen_by(step, fit, sources):
            yield _Step(_site(protocol, cohort), method.of(step), step.modality is None, named)
    yield _Step(_site(protocol, fit), method.modalities, method.joins == "tokens", named)


def _seen_by(step: Pretraining, fit: Cohort, sources: Mapping[Origin, Cohort]) -> list[Cohort]:
    return [*([fit] if step.own else []), *(sources[source, step.labels] for source in step.sources)]


def check_mixed(method: Method, step: Pretraining, protocol: Protocol, cohorts: Sequence[Cohort]) -> None:
    """Refuses to learn from the rows of several datasets at once where they have other channels, rates or lengths, or
    the run's own subjects are normalised by what they give, and others by all that they have.

    Raises:
        UsageError: any of it.
    """
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
    first, *others = (_site(protocol, cohort) for cohort in cohorts)
    for other in others:
        for m in method.of(step):
            check_channels(first, other, m, method.encoders[m], step.option)
            check_rows(first, other, m, method.encoders[m], step.option)


def _site(protocol: Protocol, cohort: Cohort) -> Site:
    return Site(cohort.card.name, cohort.store, source_spec(protocol, cohort))


def _check_there(store: Store, card: Card, modality: str, reader: str, where: str) -> None:
    available = {m: entry.channels for m, entry in store.modalities.items()}
    channels.check_there(card.name, available, modality, reader, where)


def _of_card(name: str, card: Card, modality: str) -> tuple[Channel, ...]:
    return channels.channels_of(name, {m: one.channels for m, one in card.modalities.items()}, modality)


def _same_target(one: Target, other: Target) -> bool:
    """True if a prediction of one is a prediction of the other; each dataset may cut its scale by its own rule."""
    same = (one.name, one.kind, one.n) == (other.name, other.kind, other.n)
    return same and (one.traits.has_classes or one.scale == other.scale)


def _describe_target(target: Target) -> str:
    words = target.traits.words_of_one.format(n=target.n)
    scale = None if target.traits.has_classes else target.scale
    return f"{words} of {scale[0]:g} to {scale[1]:g}" if scale else words


def check_rest_alone(protocol: Protocol, dataset: str, overlap: str, where: str) -> None:
    """Raises UsageError where pretraining saw test subjects of whom a protocol reveals only their rest."""
    if protocol.normalise == "baseline" and overlap in ("unlabelled_target", "labelled_target"):
        raise UsageError(
            f"pretraining used test subjects of {dataset}, but {protocol.name} allows only their resting data",
            where=where,
            expected="pretraining on the training subjects of each fold, or on other datasets",
        )


# Requests that stand for several: numbers of labelled subjects, shares of labels, lags, what test subjects give,
# modalities that are taken away.

DROP_EACH, DROP_ALL = "each", "all"


def expand_axes(request: Request) -> list[Request]:
    """A request for each point of its axes: `label_subjects`, `label_fraction`, `lag` and `given` may hold several with
    commas between; `drop` may be `each`, nothing and then every modality by itself, or `all`, nothing and then every
    choice but all of them.

    Raises:
        UsageError: names do not fit, or there is one modality only, which can't be taken away.
    """
    return [
        replace(request, label_subjects=count, label_fraction=share, lag=lag, given=given, drop=drop)
        for count in _several(request.label_subjects)
        for share in _several(request.label_fraction)
        for lag in _several(request.lag)
        for given in _several(request.given)
        for drop in _drops(request)
    ]


def _several(text: str | None) -> list[str | None]:
    return [part.strip() for part in text.split(",")] if text else [None]


def _drops(request: Request) -> list[str | None]:
    if request.drop not in (DROP_EACH, DROP_ALL):
        return [request.drop]
    modalities = _modalities(request)
    if len(modalities) < 2:
        raise UsageError(
            f"the run has only one modality, {modalities[0]}, so no modality can be dropped",
            where=f"--drop {request.drop}",
            expected="several --modalities",
        )
    sizes = range(1, 2 if request.drop == DROP_EACH else len(modalities))
    return [None, *(",".join(some) for size in sizes for some in combinations(modalities, size))]


def _modalities(request: Request) -> tuple[str, ...]:
    """Modalities that the method of a request reads, found without its data."""
    card = request.card
    if train_source := request.train_source:
        request = of_both(request, train_source, load_protocol(request.protocol), card)
    return chosen_modalities(request, card, list(card.modalities))
