"""Jobs as rows: one column per field of `mira.core.jobs.Job`, in its order, beside the sealed request and the lease."""

from typing import Any

from msgspec.structs import asdict
from sqlalchemy import RowMapping

from mira.core.jobs import Job, State

JOB_COLUMNS = Job.__struct_fields__
#: What the end of a job changes, in the order of `ended_row`: its request and its lease are gone with it.
JOB_CHANGES = (*JOB_COLUMNS[1:], "request", "lease_holder", "lease_until_ms")


def values_of(job: Job) -> dict[str, Any]:
    """A job as the values of its columns."""
    return {**asdict(job), "state": job.state.value}


def opened_row(job: Job, request: bytes) -> tuple[Any, ...]:
    """A new job and its sealed request, in the order of `JOB_COLUMNS`, `request`."""
    return (*values_of(job).values(), request)


def ended_row(job: Job) -> tuple[Any, ...]:
    """An ended job in the order of `JOB_CHANGES`, then its id."""
    values = list(values_of(job).values())
    return (*values[1:], None, "", 0, job.id)


def job_of(row: RowMapping) -> Job:
    """A job of its row's columns."""
    found = {name: row[name] for name in JOB_COLUMNS}
    return Job(**{**found, "state": State(found["state"])})
