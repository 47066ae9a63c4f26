"""The settings: one typed object, read from the environment, files and ``.env``."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import DotEnvSettingsSource

from glacier_sync.errors import ConfigurationError
from glacier_sync.settings.wording import problem

PREFIX = "GLACIER_SYNC_"

_PROJECT = Path(__file__).resolve().parents[3]


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError("a path that begins with no user's name, or with one that this machine knows") from None


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("a time zone's name such as America/New_York") from None
    return name


def _file_name(name: str) -> str:
    if "/" in name or name in (".", ".."):
        raise ValueError("the name of a file without its folder")
    return name


_Folder = Annotated[Path, AfterValidator(_absolute)]


def default_home() -> Path:
    """Return the state folder: ``GLACIER_SYNC_HOME``, or the one below the user's home."""
    return _home(os.environ.get(f"{PREFIX}HOME") or "~/.local/state/glacier-sync")


def _home(name: str | Path) -> Path:
    try:
        return _absolute(Path(name))
    except ValueError as error:
        raise ConfigurationError(
            f"the state folder {PREFIX}HOME is {str(name)!r}, expected {error}; correct it"
        ) from error


def inherited_variables() -> Mapping[str, str]:
    """Return this process's environment, for what is passed on to programs that it starts."""
    return dict(os.environ)


class Settings(BaseSettings):
    """Everything that can be set, each as ``GLACIER_SYNC_<NAME>`` or ``…_<NAME>_FILE``.

    Times are in the unit of the name, sizes in MiB (2**20 bytes). The
    environment goes before ``<home>/.env``, both before the defaults. Get one
    from ``load_settings``, which turns mistakes into one clear line.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    home: _Folder = Field(default_factory=default_home)
    ledger_url: SecretStr = SecretStr("")
    intake: _Folder = _PROJECT / "config" / "intake.yml"
    data_dir: _Folder = Path()
    archive_parent: _Folder = Path()
    archive_marker: Annotated[str, AfterValidator(_file_name)] = ""
    web_parent: str = ""
    log_dir: _Folder = Path()
    bin_dir: _Folder = _PROJECT / "bin"
    site_config_dir: _Folder = _PROJECT / "config"
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "America/New_York"
    db_config: str = ""

    incoming_dir: _Folder | None = None
    watched_dir: _Folder | None = None
    retention_dir: _Folder | None = None
    retention_days: float = Field(30, ge=0, le=36_500)
    settle_seconds: float = Field(60, gt=0, le=86_400)

    max_objects_per_run: int = Field(10, ge=1)
    sqs_wait_seconds: int = Field(20, ge=0, le=20)
    workers: int = Field(default_factory=lambda: min(os.cpu_count() or 1, 4), ge=1, le=64)
    max_downloads: int = Field(2, ge=1)
    max_unbaggings: int = Field(1, ge=1)
    max_syncs: int = Field(1, ge=1)
    download_streams: int = Field(4, ge=1, le=64)
    download_part_mib: int = Field(64, ge=1)
    bag_warnings_as_errors: str = ""
    keep_free_mib: int = Field(256, ge=0)
    lease_minutes: float = Field(15, gt=0, le=10_080)
    max_unknown_errors: int = Field(3, ge=1)

    allow_simulated_failures: bool = False
    schedule: str = "*/10 * * * *"
    max_active_runs: int = Field(4, ge=1)
    intake_retries: int = Field(5, ge=0)
    intake_retry_seconds: float = Field(60, ge=0, le=86_400)
    task_retries: int = Field(5, ge=0)
    task_retry_seconds: float = Field(60, ge=0, le=86_400)

    @model_validator(mode="before")
    @classmethod
    def _below_home(cls, values: dict[str, Any]) -> dict[str, Any]:
        home = _home(values.get("home") or default_home())
        below = {
            "ledger_url": f"sqlite:///{home / 'ledger.sqlite'}",
            "data_dir": home / "data",
            "archive_parent": home / "archive" / "Archive",
            "log_dir": home / "logs",
        }
        return {**below, **{name: value for name, value in values.items() if value not in ("", None)}}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put values in files (``*_FILE``) between the environment and ``.env``."""
        return init_settings, env_settings, _ValueFiles(settings_cls), dotenv_source(settings_cls)

    def make_home(self) -> None:
        """Make the state folder, its user's alone: messages and works in it aren't everybody's to read.

        One that is there keeps its mode. Where it can't be made nothing happens: whoever needs it says so.
        """
        with suppress(OSError):
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def pools(self) -> dict[str, int]:
        """The slots of each Airflow pool: how many tasks of a kind run at once on the machine."""
        return {"downloads": self.max_downloads, "unbaggings": self.max_unbaggings, "syncs": self.max_syncs}

    @property
    def is_production(self) -> bool:
        """Whether this is a deployment that ``deploy.sh --prod`` has laid out: its ``.env`` says so."""
        return os.environ.get("DEPLOYMENT") == "prod"

    @property
    def web_region(self) -> str:
        """The region of the web images' bucket, as ``syncOneWork.sh`` takes it from Amazon's own variables."""
        return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"

    @property
    def warnings_as_errors(self) -> tuple[str, ...]:
        """The kinds of warnings that make a bag invalid."""
        return tuple(self.bag_warnings_as_errors.replace(",", " ").split())

    @property
    def download_dir(self) -> Path:
        """Where zips are downloaded to."""
        return self.data_dir / "download"

    @property
    def work_dir(self) -> Path:
        """Where bags are unpacked."""
        return self.data_dir / "work"


def dotenv_source(settings_cls: type[BaseSettings]) -> DotEnvSettingsSource:
    """Read ``<home>/.env``, if it is there. Raises ConfigurationError."""
    path = default_home() / ".env"
    try:
        _require_settings(path)
        return DotEnvSettingsSource(settings_cls, env_file=path, env_file_encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} can't be read ({error}); expected settings in UTF-8, a line NAME=value for each; correct it"
        ) from error


def _require_settings(path: Path) -> None:
    """Raise ConfigurationError for a line that is none, and would be passed over in silence."""
    if not path.exists():
        return
    # Where there is no such file, nothing of this need be imported.
    from dotenv.parser import parse_stream  # noqa: PLC0415

    for binding in parse_stream(io.StringIO(path.read_text(encoding="utf-8"))):
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigurationError(
                f"{path}, line {binding.original.line}, is no setting: expected NAME=value, or a comment; correct it"
            )


class _ValueFiles(PydanticBaseSettingsSource):
    """Reads ``GLACIER_SYNC_<NAME>_FILE``: a file that holds the value, as Docker secrets do."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        return (Path(path).read_text(encoding="utf-8").strip() if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            try:
                value, _, _ = self.get_field_value(field, name)
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(
                    f"{PREFIX}{name.upper()}_FILE names a file that can't be read ({error}); "
                    "expected a file that holds the value"
                ) from error
            if value is not None:
                values[name] = value
        return values


def load_settings() -> Settings:
    """Read the settings.

    Raises ConfigurationError that names each variable that is wrong, what was
    found and what is allowed.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(problem(f"{PREFIX}{str(found['loc'][0]).upper()}", found) for found in error.errors())
        raise ConfigurationError(f"settings: {problems}; correct it in the environment or in .env") from error
