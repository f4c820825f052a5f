"""What Airflow runs: batches that end well, badly and too late. Airflow reads this file by itself from its folder of DAGs."""

import datetime
import os

from airflow.providers.apache.livy.operators.livy import LivyOperator
from airflow.sdk import DAG

FOLDER = os.environ["HEARTH_TEST_FOLDER"]


def dag(name, program, **named):
    with DAG(dag_id=name, schedule=None, start_date=datetime.datetime(2024, 1, 1)) as made:
        LivyOperator(task_id="batch", name=name, file=os.path.join(FOLDER, program), polling_interval=1, **named)
    return made


# Airflow lets numbers be text.
ASKED = {"args": ["a", 1, "b c"], "conf": {"spark.x": 5}, "driver_memory": "1g", "driver_cores": "1", "num_executors": "1"}

good = dag("good", "good.py", **ASKED)
deferred = dag("deferred", "good.py", deferrable=True, **ASKED)
bad = dag("bad", "bad.py")
late = dag("late", "late.py", execution_timeout=datetime.timedelta(seconds=3))
