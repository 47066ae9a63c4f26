"""Settings: the only place that reads the environment and the configuration files."""

from glacier_sync.settings.environment import Settings, inherited_variables, load_settings
from glacier_sync.settings.intake import WATCHED_FOLDER, IntakeQueue, RestoreTerms, Tier, load_intake
from glacier_sync.settings.spelling import unknown_variables

__all__ = [
    "WATCHED_FOLDER",
    "IntakeQueue",
    "RestoreTerms",
    "Settings",
    "Tier",
    "inherited_variables",
    "load_intake",
    "load_settings",
    "unknown_variables",
]
