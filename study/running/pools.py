"""Where workers run: what a pool is, and a dask cluster; see `processes` for this machine's."""

from __future__ import annotations

import socket
from collections.abc import Collection
from concurrent.futures import CancelledError, Future
from typing import Protocol
from urllib.parse import urlsplit

from landscape_study.study.errors import TrainingError, UsageError
from landscape_study.study.running.job import Job
from landscape_study.study.running.worker import work
from landscape_study.study.store.database import parse_url

CONNECTING = 10  # seconds that a dask scheduler has to answer


class Pool(Protocol):
    """Starts workers that live and die apart from each other."""

    @property
    def lost(self) -> tuple[type[BaseException], ...]:
        """What a worker's future raises when its process died."""

    def start(self, job: Job, device: str) -> Future[bool]:
        """Start a worker; its future gives what `work` does."""

    def forget(self, future: Future[bool]) -> None:
        """Let go of what an ended worker leaves."""

    def process(self, future: Future[bool]) -> int | None:
        """The process id of a worker, if it is within reach."""

    def look_after(self, silent: Collection[int]) -> None:
        """Kill the processes that hang, of which these may be some, where it can.

        Raises:
            TrainingError: the pool itself is gone.
        """

    def close(self) -> None:
        """End all workers, whatever they do."""


class Cluster:
    """The workers of a dask cluster, each of which trains on its own machine.

    Args:
        address: of the scheduler, as dask writes it: tcp://host:8786.

    Raises:
        UsageError: dask is not installed, no scheduler answers, or its workers cannot be used.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        if "://" not in address:
            raise UsageError(f"--dask {address}: no address: write tcp://{address}, or the like")
        try:
            from distributed import Client, KilledWorker
            from distributed.client import ClosedClientError
        except ImportError as e:
            raise UsageError(
                f"--dask {address}: dask is not installed ({e.name}): "
                "pip install 'landscape-study[dask]'"
            ) from e
        self.lost = (KilledWorker, CancelledError)
        self.closed = ClosedClientError
        try:
            if urlsplit(address).port is None:
                raise ValueError("it names no port, as in tcp://HOST:8786")
            self.client = Client(address, timeout=CONNECTING, set_as_default=False)
        except (OSError, ValueError) as e:
            raise UsageError(
                f"--dask {address}: no scheduler answers there ({e}): start one with `dask "
                "scheduler`, and its workers with `dask worker ADDRESS --nthreads 1`"
            ) from e
        try:
            self.size = self._count(address)
        except BaseException:
            self.close()
            raise
        self.executor = self.client.get_executor(pure=False)

    def _count(self, address: str) -> int:
        """How many workers there are, if each has a process of its own."""
        threads = self.client.nthreads().values()
        if not threads:
            raise UsageError(
                f"--dask {address}: the cluster has no workers yet: start some with `dask worker "
                f"{address} --nthreads 1`"
            )
        if max(threads) > 1:
            raise UsageError(
                f"--dask {address}: a worker there has {max(threads)} threads, but PyTorch's "
                "settings are per process: start dask workers with --nthreads 1, and more of them "
                "with --nworkers"
            )
        return len(threads)

    def is_elsewhere(self) -> bool:
        """Whether any of its workers is on another machine than this."""
        hosts = self.client.run(socket.gethostname, on_error="ignore")  # one may just have died
        return bool(set(hosts.values()) - {socket.gethostname()})

    def start(self, job: Job, device: str) -> Future[bool]:
        """Start a worker; one whose machine is lost is started on another by dask itself.

        Raises:
            TrainingError: the scheduler is lost.
        """
        try:
            future: Future[bool] = self.executor.submit(work, job.elsewhere(), device)
        except self.closed as e:
            raise self._gone() from e
        return future

    def forget(self, future: Future[bool]) -> None:
        """Nothing is left."""

    def process(self, future: Future[bool]) -> int | None:
        """Out of reach."""
        return None

    def look_after(self, silent: Collection[int]) -> None:
        """Processes of other machines are out of reach: what they hold is trained by others.

        Raises:
            TrainingError: the scheduler is lost, and with it all word of the workers.
        """
        if self.client.status == "closed":
            raise self._gone()

    def _gone(self) -> TrainingError:
        return TrainingError(
            f"the dask scheduler at {self.address} is gone: start it again and resume; what is "
            "finished is in the database"
        )

    def close(self) -> None:
        """Leave the cluster; its workers stop when they see that the run is over."""
        self.client.close()


def cluster_size(address: str, store: str) -> int:
    """How many workers a dask cluster has, all of which can use the database.

    Raises:
        UsageError: see `Cluster`; or the database is a file, and a worker on another machine.
    """
    cluster = Cluster(address)
    try:
        if parse_url(store).get_backend_name() == "sqlite" and cluster.is_elsewhere():
            raise UsageError(
                f"--dask {address}: its workers are on other machines, and {store} is a file: "
                "give a PostgreSQL database as --store"
            )
        return cluster.size
    finally:
        cluster.close()
