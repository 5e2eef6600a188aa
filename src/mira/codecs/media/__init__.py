"""Images, videos, speech and transcriptions on the wire: what clients send, and how each kind of node is asked."""
