"""The three protocols of clients, each as a way to ask, to read what came, and to go on with the results of tools."""

from tests.e2e.asking_chat import CHAT
from tests.e2e.asking_messages import MESSAGES
from tests.e2e.asking_responses import RESPONSES

SURFACES = (CHAT, MESSAGES, RESPONSES)

__all__ = ["CHAT", "MESSAGES", "RESPONSES", "SURFACES"]
