"""Uploads: what a file of 25 MiB takes of the gateway's memory, as a form and as base64 in JSON.

    python benchmarks/uploads.py [--runs 3]

A real `mira serve` with its defaults and a local folder; growth of its resident memory while one upload of random bytes
goes through, after one small upload that has everything loaded. Exit status 1 where a goal is missed.
"""

import argparse
import base64
import json
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.videos import MIB, Watch
from tests.support.gateway import Gateway

FILE_BYTES = 25 * MIB
#: form of the upload -> the most that memory may grow by, in MiB
GOALS_MIB = {"multipart": 40, "base64 JSON": 90}
HEAD = b"%PDF-1.7\n"


def upload(gateway: Gateway, form: str, data: bytes) -> None:
    """One upload that must come back with its size."""
    if form == "multipart":
        answer = gateway.request("POST", "/v1/upload", files={"file": ("paper.pdf", data, "application/pdf")})
    else:
        body = json.dumps({"data": base64.b64encode(data).decode(), "mime_type": "application/pdf"}).encode()
        headers = {"content-type": "application/json"}
        answer = gateway.request("POST", "/v1/upload", content=body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["bytes"] == len(data)


def growth_mib(form: str, data: bytes) -> float:
    """The growth over one upload in a gateway of its own."""
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder)).start()
        try:
            upload(gateway, form, data[:MIB])
            with Watch(gateway.pid) as watch:
                upload(gateway, form, data)
        finally:
            gateway.close()
    return watch.growth_mib


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    data = HEAD + random.Random(7).randbytes(FILE_BYTES - len(HEAD))
    met = True
    for form, goal_mib in GOALS_MIB.items():
        most = max(growth_mib(form, data) for _ in range(runs))
        met = met and most <= goal_mib
        print(f"25 MiB as {form}: memory grew by {most:.1f} MiB at most of {runs} runs (goal at most {goal_mib})")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
