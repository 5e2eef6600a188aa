"""The operator's prices find their models under either spelling of an id."""

from mira.core.pricing import Price
from mira.nodes.catalog import by_canonical_id

ONE, OTHER = Price(input_picocredits=1, output_picocredits=2), Price(input_picocredits=3, output_picocredits=4)


def test_a_price_with_dots_is_that_of_a_model_with_dashes_and_the_other_way_round():
    models = ["anthropic/claude-sonnet-4-5", "openai/gpt-5.1"]
    prices = {"anthropic/claude-sonnet-4.5": ONE, "openai/gpt-5-1": OTHER}
    assert by_canonical_id(prices, models) == dict(zip(models, (ONE, OTHER), strict=True))


def test_the_exact_id_goes_before_another_spelling():
    prices = {"openai/gpt-5-1": ONE, "openai/gpt-5.1": OTHER}
    assert by_canonical_id(prices, ["openai/gpt-5.1"]) == {"openai/gpt-5.1": OTHER}


def test_a_spelling_that_fits_two_models_prices_none_but_its_own():
    prices = {"x/a-1.2": ONE}
    assert by_canonical_id(prices, ["x/a-1-2", "x/a-1.2"]) == {"x/a-1.2": ONE}
    assert by_canonical_id({"x/a-1.2-3": ONE}, ["x/a-1-2-3", "x/a-1-2.3"]) == {}
