#!/usr/bin/env bash
# A streamed answer with curl:  MIRA_API_KEY=sk-mira-… examples/stream.sh "Tell me about tides." [MODEL]
set -euo pipefail
question=${1:-Say hello.}
model=${2:-mira/local}
body=$(python3 -c 'import json, sys; print(json.dumps({
    "model": sys.argv[2], "stream": True, "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": sys.argv[1]}]}))' "$question" "$model")
curl --no-buffer --silent --show-error --fail-with-body "${OPENAI_BASE_URL:-http://localhost:4000/v1}/chat/completions" \
    -H "Authorization: Bearer ${MIRA_API_KEY:?put a key of Mira into MIRA_API_KEY}" \
    -H 'Content-Type: application/json' -d "$body"
