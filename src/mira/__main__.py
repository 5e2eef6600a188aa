"""The command `mira`: hands the assembled gateway to the command line."""

from mira import app
from mira.cli.main import main as run
from mira.cli.program import Program


def main() -> None:
    """Runs the command line."""
    run(Program(serve=app.serve, application=app.open_application, migrate=app.migrate))


if __name__ == "__main__":
    main()
