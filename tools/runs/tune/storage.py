"""Studies in a database that several processes and machines can share."""

import time
import warnings
import weakref
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from common.errors import InputError

__all__ = ["URL_VARIABLE", "check_url", "open_storage", "open_study", "retry"]

URL_VARIABLE = "TUNE_STORAGE"  # for the processes that train: a URL with a password belongs in no config file
HEARTBEAT_S = 30
GRACE_S = 120
MAX_RETRIES = 3
SQLITE_TIMEOUT_S = 60
RECORD = "search"


def check_url(url: str) -> str:
    """A database URL that other processes can open too; InputError if it is none, or of a database in memory."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InputError(f"--storage {url}: not a database URL; a file is sqlite:///{url}") from error
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise InputError(f"--storage {url}: trainings are other processes, which need a file: sqlite:///study.db")
    return url


def open_storage(url: str) -> RDBStorage:
    """The database behind a URL, whose trials are given up and begun again when their process is killed.

    Missing tables are created. Raises InputError, without the password, if the database cannot be opened.
    """
    parsed = make_url(check_url(url))
    arguments = {"connect_args": {"timeout": SQLITE_TIMEOUT_S}} if parsed.get_backend_name() == "sqlite" else {}
    try:
        try:
            return _connect(url, arguments)
        except (SQLAlchemyError, StorageInternalError):  # another process may be making the same tables
            time.sleep(1)
            return _connect(url, arguments)
    except (SQLAlchemyError, StorageInternalError, ImportError, RuntimeError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(
            f"--storage {parsed.render_as_string(hide_password=True)}: cannot be opened ({reason}); check the URL, "
            "that its server or folder is there, and that the driver for this database is installed"
        ) from error


def open_study(storage: RDBStorage, name: str, record: Mapping[str, Any]) -> optuna.Study:
    """The study of that name, a new one or one that was made for the very same search.

    The record says what is searched, on which data and with which overrides, as JSON values; InputError if the study of
    that name is for something else: its scores would not compare.
    """
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    begun = study.user_attrs.get(RECORD)
    if begun is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(RECORD, dict(record))
        return study
    for key, value in record.items():
        found = (begun or {}).get(key)
        if found != value:
            raise InputError(
                f"study {name}: was begun with {key} {found}, now it is {value}; give another --study_name, or what it "
                "was begun with"
            )
    return study


def retry(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Put the values of an interrupted trial in line for another one."""
    with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
        RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)(study, trial)


def _connect(url: str, arguments: Mapping[str, Any]) -> RDBStorage:
    with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
        storage = RDBStorage(
            url,
            engine_kwargs=dict(arguments),
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES),
        )
    weakref.finalize(storage, storage.engine.dispose)  # Optuna leaves its connections open
    return storage
