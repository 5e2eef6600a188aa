"""What the operator's file says of prices and models, as tables."""

from mira.config import Config
from mira.core.model_rows import model_row
from mira.core.models import Table
from mira.core.price_rows import price_row
from mira.core.pricing import Price
from mira.errors import ConfigError


def operator_prices(config: Config) -> dict[str, Price]:
    """The `[[prices]]` by model; ConfigError names the row and the field."""
    prices: dict[str, Price] = {}
    for number, row in enumerate(config.prices):
        model = row.get("model")
        if not isinstance(model, str) or not model:
            raise ConfigError(f"prices[{number}].model: is missing; write the model's id")
        try:
            prices[model] = price_row(
                {name: value for name, value in row.items() if name != "model"}, f"prices[{number}]"
            )
        except ValueError as error:
            raise ConfigError(str(error)) from None
    return prices


def operator_models(config: Config) -> Table:
    """The `[[models]]` as a table; ConfigError names the row and the field."""
    try:
        return dict(model_row(row, f"models[{number}]") for number, row in enumerate(config.models))
    except ValueError as error:
        raise ConfigError(str(error)) from None
