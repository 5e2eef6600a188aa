"""Makes the shared grammar validators and generators importable as `tests.…`, and sets how much Hypothesis tries."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parents[2]))

settings.register_profile(
    "mira", max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("mira-long", max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("MIRA_HYPOTHESIS", "mira"))
