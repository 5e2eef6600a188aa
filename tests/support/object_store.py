"""A real S3 server for the tests: SeaweedFS from its wheel, all of it in one process."""

import subprocess
import sys
import time
from pathlib import Path

import httpx2
from tests.support.ports import free_port

PATIENCE_S = 120.0
BUCKET = "mira-tests"


class ObjectStore:
    """The server and one bucket. `environ` is what a client of it needs in its environment."""

    def __init__(self, folder: Path) -> None:
        ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
        self.endpoint = f"http://127.0.0.1:{ports['s3']}"
        self.environ = {
            "AWS_ENDPOINT": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
        }
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "weed"),
                "server",
                f"-dir={folder}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-filer",
                "-s3",
                "-iam=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-s3.iam=false",
                "-master.telemetry=false",
                *(f"-{name}.port={port}" for name, port in ports.items()),
                *(f"-{name}.port.grpc={free_port()}" for name in ports),
                "-master.volumeSizeLimitMB=64",
                "-volume.max=10",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def ready(self) -> "ObjectStore":
        """Waits until the bucket is made and takes an object."""
        deadline_s = time.monotonic() + PATIENCE_S
        with httpx2.Client(base_url=self.endpoint, timeout=PATIENCE_S, trust_env=False) as http:
            while True:
                assert self._process.poll() is None, "the object store ended"
                assert time.monotonic() < deadline_s, "the object store is not ready"
                try:
                    made = http.put(f"/{BUCKET}")
                    if made.status_code in {200, 409} and http.put(f"/{BUCKET}/ready", content=b"1").is_success:
                        return self
                except httpx2.TransportError:
                    pass
                time.sleep(0.1)

    def stop(self) -> None:
        """Ends it at once: it would take its time, and nothing in it is to last."""
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._log.close()
