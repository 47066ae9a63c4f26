"""Airflow's surroundings: set before anything imports Airflow."""

import os
import tempfile
from pathlib import Path

_HOME = Path(tempfile.mkdtemp(prefix="glacier-sync-airflow-"))
_PROJECT = Path(__file__).parents[2]

os.environ.update(
    {
        "AIRFLOW_HOME": str(_HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(_PROJECT / "airflow-docker" / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(_PROJECT / "airflow-docker" / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(_HOME / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "GLACIER_SYNC_HOME": str(_HOME / "glacier-sync"),
        "GLACIER_SYNC_SCHEDULE": "*/7 * * * *",
        "GLACIER_SYNC_INTAKE_RETRIES": "1",
        "GLACIER_SYNC_INTAKE_RETRY_SECONDS": "1",
        "GLACIER_SYNC_TASK_RETRIES": "0",
        "GLACIER_SYNC_TASK_RETRY_SECONDS": "2",
        "GLACIER_SYNC_SQS_WAIT_SECONDS": "1",
    }
)
