"""Baseline sets as versioned YAML files: the methods that a new method is compared with, on any dataset.

Any package can provide sets, as `baselines/<name>.yaml` next to its `registry.yaml`. Under one name, a set never
changes, except while it is a draft.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from embench import registry
from embench.claims.files import Strict, Texts, select_claims
from embench.errors import Fault, UsageError, describe_faults, list_faults
from embench.files import MOST_YAML, digest, parse_yaml, read_text
from embench.planning.tuning import parse_space
from embench.registry.fragments import refuse_file
from embench.vocabulary import did_you_mean

SetLevel = Literal["core", "extended", "full"]
SET_LEVELS: tuple[SetLevel, ...] = get_args(SetLevel)
"""Levels of a set; each contains the rows of the levels before it."""
EACH_ALONE, ALL_TOGETHER, ALL_BUT_ONE, NO_PART = "each", "all", "all but one", "none"
"""Words in a rule. For modalities: each by itself, all together, all but one. For pretrainer or fusion: none."""


def _parsable(text: str) -> str:
    """Return a searched setting, such as `encoder.lr=log:1e-4..1e-2`. Raises ValueError if it is malformed."""
    try:
        parse_space([text])
    except UsageError as error:
        expected = f"; expected {error.expected}" if error.expected else ""
        raise ValueError(f"{error.what}{expected}") from error
    return text


_Preset = Literal["paper", "small", "quick"]
Choices = Annotated[Texts, Field(min_length=1)]


class RowRule(Strict):
    """A rule that generates rows of a set: one for each combination of encoder, pretrainer, fusion and modalities.

    Args:
        encoder: `NAME` for all modalities, or `eeg=NAME,ecg=NAME`.
        pretrainer, fusion: names, or `none`.
        modalities: words. `each`: one row for each modality of the dataset that the encoder reads. `all`: one row with
            all of them. `all but one`: one row without each. Or names: a single one includes modalities that are read
            alike; `ecg,eeg` and `ppg+eda` name several.
        targets: kind of targets that the rows are for; default: any kind that the method predicts.
        recipe: default: that of `embench run`.
        set: settings of all rows, such as `encoder.lr=1e-4`.
        datasets: names of the datasets that the rows are for; default: all.
        target, protocol, train_dataset: as of `embench run`; they take precedence over the command's.
        label_subjects, label_fraction, drop, calibration_data: as of `embench grid`, so one row for each of several
            values; they take precedence over the command's. `calibration_data` needs a protocol that lets runs choose.
        tune: number of trials; each row is also run tuned, by the `search` of the set.
    """

    encoder: Choices
    pretrainer: Choices = (NO_PART,)
    fusion: Choices = (NO_PART,)
    modalities: Choices = (EACH_ALONE,)
    targets: Literal["classes", "values"] | None = None
    recipe: _Preset | None = None
    set: Texts = ()
    datasets: Texts = ()
    target: str | None = None
    protocol: str | None = None
    train_dataset: str | None = None
    label_subjects: str | None = None
    label_fraction: str | None = None
    drop: str | None = None
    calibration_data: str | None = None
    tune: Annotated[int, Field(ge=2)] | None = None


class BaselineSet(Strict):
    """A set of baseline methods: rules at three levels, or the methods of a `paper` as its claims state them.

    Args:
        protocol, recipe: those of rules that state none.
        search: name of an encoder, fusion or pretrainer -> the settings that tuning searches, with their values.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    summary: str
    draft: bool = False
    paper: str | None = None
    protocol: str | None = None
    recipe: _Preset | None = None
    core: Annotated[tuple[RowRule, ...], Field(strict=False)] = ()
    extended: Annotated[tuple[RowRule, ...], Field(strict=False)] = ()
    full: Annotated[tuple[RowRule, ...], Field(strict=False)] = ()
    search: dict[str, Annotated[tuple[Annotated[str, AfterValidator(_parsable)], ...], Field(strict=False)]] = Field({})

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if bool(self.paper) == bool(self.core):
            raise ValueError("a set has exactly one of the fields `core` and `paper`")
        if self.paper and (self.extended or self.full):
            raise ValueError("the set of a `paper` has one level, core")
        return self

    def rules(self, level: SetLevel) -> list[tuple[SetLevel, RowRule]]:
        """Return (level, rule) of all rules up to a level."""
        upto = SET_LEVELS[: SET_LEVELS.index(level) + 1]
        default = {"protocol": self.protocol, "recipe": self.recipe}

        def complete(rule: RowRule) -> RowRule:
            return rule.model_copy(update={name: getattr(rule, name) or value for name, value in default.items()})

        return [(each, complete(rule)) for each in upto for rule in getattr(self, each)]

    @property
    def hash(self) -> str:
        """Digest of everything that determines the rows, including the claims of the paper."""
        claims = [claim.model_dump(mode="json") for claim in select_claims(self.paper, ())] if self.paper else []
        return digest([self.model_dump(mode="json", exclude={"summary", "draft"}, exclude_defaults=True), *claims])


def read_set(path: Path) -> BaselineSet:
    """Read a set from its file.

    Raises:
        UsageError: the file cannot be read, breaks the schema (the message names fields and lines), or the file and the
            set have different names.
    """
    try:
        text = read_text(path, MOST_YAML)
        content = parse_yaml(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read a baseline set: {' '.join(str(error).split())}", where=str(path)) from error
    if not isinstance(content, dict):
        expected = ", ".join(BaselineSet.model_fields)
        what = "the file of a baseline set is not a YAML mapping (`key: value` lines)"
        raise UsageError(what, where=str(path), expected=expected)
    try:
        found = BaselineSet.model_validate(content)
    except ValidationError as error:
        top = yaml.compose(text, yaml.SafeLoader)
        lines = [_find_line(top, fault["loc"]) for fault in error.errors()]
        named = [
            Fault(f"line {n}, {f.field}" if f.field else "", f.what)
            for n, f in zip(lines, list_faults(error), strict=True)
        ]
        word = named[0].field.rpartition(".")[2].rpartition(" ")[2]
        hint = did_you_mean(word, [*RowRule.model_fields, *BaselineSet.model_fields])
        expected = f"rules with {', '.join(RowRule.model_fields)}, below core, extended or full"
        where = f"{path}, line {lines[0]}"
        raise UsageError(describe_faults("a baseline set", named), where=where, expected=expected, hint=hint) from error
    if found.name != path.stem:
        raise UsageError(f"this is the set {found.name}", where=str(path), expected=f"{found.name}.yaml")
    return found


def _find_line(node: yaml.Node | None, place: Sequence[Any]) -> int:
    """Return the line number of a field in a YAML file, or of its nearest parent that exists.

    Args:
        place: keys and positions from the root to the field, as in pydantic's errors.
    """
    line = 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
        if node is None:
            break
        line = node.start_mark.line + 1
    return line


def installed_sets() -> dict[str, BaselineSet]:
    """Return name -> set of all packages; unusable files and duplicate names are excluded with a warning."""
    found: dict[str, BaselineSet] = {}
    for path in registry.find_shipped_files("baselines/*.yaml"):
        try:
            own = read_set(path)
            if own.name in found:
                raise UsageError(f"another set has the name {own.name}", where=str(path), expected="a name of its own")
            found[own.name] = own
        except UsageError as error:
            warnings.warn(f"a baseline set is excluded: {error}", stacklevel=2)
    return found


def find_set(name: str) -> BaselineSet:
    """Return the installed set with this name, or the set in this YAML file.

    Raises:
        UsageError: the set does not exist, or its file is invalid.
    """
    if name.endswith((".yaml", ".yml")):
        refuse_file("baseline set", name)
        return read_set(Path(name))
    paths = {path.stem: path for path in reversed(registry.find_shipped_files("baselines/*.yaml"))}  # bundled ones win
    if name in paths:
        return read_set(paths[name])
    known = sorted(paths)
    expected = f"one of {', '.join(known)}, or a path to a YAML file"
    hint = did_you_mean(name, known) or "embench list baselines"
    what, where = f"no baseline set has the name `{name}`", f"--baseline-set {name}"
    raise UsageError(what, where=where, expected=expected, hint=hint)
