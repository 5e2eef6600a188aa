.PHONY: check lint test clients run bench faults money replicas media screenshots fmt

check: lint test  ## what has to pass before a change is handed in

lint:
	./scripts/lint

test:
	uv run pytest

clients:
	./scripts/clients

run:
	uv run mira serve

bench:
	@echo 'Each program says at its top what it measures; the method and the results stand in benchmarks/README.md.'
	@for program in benchmarks/*.py; do echo "    uv run python $$program"; done

faults:
	uv run python -m benchmarks.faults

money:
	uv run python benchmarks/money.py

replicas:
	uv run python benchmarks/replicas.py

media:
	uv run python benchmarks/videos.py

screenshots:
	./scripts/screenshots

fmt:
	uv run ruff check --fix .
	uv run ruff format .
