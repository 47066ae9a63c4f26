"""Settings: the only place that reads the environment and the configuration files."""

from glacier_sync.settings.environment import Settings, inherited_variables, load_settings
from glacier_sync.settings.intake import WATCHED_FOLDER, IntakeQueue, load_intake

__all__ = ["WATCHED_FOLDER", "IntakeQueue", "Settings", "inherited_variables", "load_intake", "load_settings"]
