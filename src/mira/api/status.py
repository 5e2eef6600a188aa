"""Routes of no workspace: is the process alive, can it admit, which service is this, what does it count."""

from starlette.responses import Response

from mira import __version__
from mira.api.bodies import Health, answer
from mira.api.services import Asked, Services
from mira.observe.metrics import CONTENT_TYPE


async def health(_: Services, __: Asked) -> Response:
    """The process answers."""
    return answer({"status": "ok", "version": __version__})


async def ready(services: Services, _: Asked) -> Response:
    """Whether calls can be admitted; 503 says why not. Upstreams do not count."""
    reason = services.not_ready()
    if reason is not None:
        return answer({"status": "unready", "reason": reason}, 503)
    return answer({"status": "ready"})


async def metrics(services: Services, _: Asked) -> Response:
    """Every figure in Prometheus's text format."""
    return Response(await services.metrics.exposition(), headers={"content-type": CONTENT_TYPE})


async def inference_health(_: Services, __: Asked) -> Response:
    """The Inference Service's own health."""
    return answer(Health(status="ok", service="inference-service", version=__version__))
