"""What the configuration says of fetching: which private addresses may be reached, and what a page costs."""

from mira.config import Config
from mira.core.money import nanocredits
from mira.errors import ConfigError
from mira.fetch.addresses import Allowed, parse_allowed


def allowed_addresses(config: Config) -> Allowed:
    """The private addresses that clients' URLs may reach; ConfigError names the entry that cannot be read."""
    told = {"MIRA_ALLOW_PRIVATE_NETWORKS": config.allow_private_networks, "fetch.allow": config.fetch.allow}
    for name, entries in told.items():
        try:
            parse_allowed(entries)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
    return parse_allowed(entry for entries in told.values() for entry in entries)


def price_of_page(config: Config) -> int:
    """What a fetched page costs, in nano-credits; ConfigError where it is no amount."""
    try:
        price_nanocredits = nanocredits(config.fetch.price)
    except ValueError as error:
        raise ConfigError(f"fetch.price: {error}") from None
    if price_nanocredits < 0:
        raise ConfigError('fetch.price: must not be below 0; "0" makes pages free')
    return price_nanocredits
