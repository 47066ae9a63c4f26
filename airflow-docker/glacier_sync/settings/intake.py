"""``intake.yml``: the queues that restored objects are announced in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from glacier_sync.errors import ConfigurationError
from glacier_sync.settings.wording import problem

# What stands in the place of a queue's name for what comes from the watched folder.
WATCHED_FOLDER = "watched folder"

DEFAULT_EVENTS = ("ObjectRestore:Completed", "ObjectCreated:*")

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _queue(queue: str) -> str:
    if "://" in queue and not re.fullmatch(r"https?://[^\s/?#]+/[^\s/?#]+/[^\s/?#]+", queue):
        raise ValueError("a queue's name, or a URL that ends with its account and name, as Amazon shows it")
    return queue


Tier = Literal["Standard", "Bulk", "Expedited"]


@dataclass(frozen=True)
class RestoreTerms:
    """How a queue's objects may be restored anew: for how many days, and how fast (which is what it costs)."""

    days: int
    tier: Tier


@dataclass(frozen=True)
class IntakeQueue:
    """One queue: where it is, whose credentials read it, and what is wanted from it.

    ``queue`` is a name or a URL; ``profile`` is None for boto3's default chain.
    ``events`` are event names, ``*`` matching anything after it. ``restore`` is
    None where no restore may be asked for.
    """

    name: str
    queue: str
    region: str
    profile: str | None
    buckets: tuple[str, ...]
    events: tuple[str, ...]
    delete_rejected: bool
    restore: RestoreTerms | None = None


class _RestoreEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    days: int = Field(ge=1)
    tier: Tier = "Bulk"


class _QueueEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: _Text
    queue: Annotated[_Text, AfterValidator(_queue)]
    region: _Text
    profile: _Text | None = None
    buckets: list[_Text] = Field(min_length=1)
    events: list[_Text] = Field(default=list(DEFAULT_EVENTS), min_length=1)
    delete_rejected: bool = False
    restore: _RestoreEntry | None = None


class _IntakeFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    queues: list[_QueueEntry] = Field(min_length=1)


# By the depth of a key in the file: queues, queues.0.name, queues.0.restore.days.
_MODELS: dict[int, type[BaseModel]] = {1: _IntakeFile, 3: _QueueEntry, 4: _RestoreEntry}


def load_intake(path: Path) -> tuple[IntakeQueue, ...]:
    """Read the queues of an ``intake.yml``.

    Raises ConfigurationError, naming the file, the key and what is allowed, if
    the file is missing, is no YAML, or says something that isn't understood.
    """
    entries = _validated(path, _parsed(path)).queues
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{path}: the name {twice[0]!r} stands for two queues; give each queue its own")
    if WATCHED_FOLDER in names:
        raise ConfigurationError(
            f"{path}: the name {WATCHED_FOLDER!r} stands for what comes from no queue; give the queue another"
        )
    return tuple(
        IntakeQueue(
            name=entry.name,
            queue=entry.queue,
            region=entry.region,
            profile=entry.profile,
            buckets=tuple(entry.buckets),
            events=tuple(entry.events),
            delete_rejected=entry.delete_rejected,
            restore=RestoreTerms(entry.restore.days, entry.restore.tier) if entry.restore else None,
        )
        for entry in entries
    )


def _parsed(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} doesn't exist: expected the list of queues; write it, or set GLACIER_SYNC_INTAKE to where it is"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}; make it readable") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise ConfigurationError(f"{path} is no valid YAML: {where}; correct that line") from error


def _validated(path: Path, content: Any) -> _IntakeFile:
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: expected a mapping with the key 'queues', found {type(content).__name__}")
    try:
        return _IntakeFile.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors())
        raise ConfigurationError(f"{path}: {problems}; correct it") from error


def _problem(detail: ErrorDetails) -> str:
    model = _MODELS.get(len(detail["loc"]))
    return problem(".".join(map(str, detail["loc"])), detail, tuple(model.model_fields) if model else ())
