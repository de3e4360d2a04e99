"""The model against the definition of a vision transformer, written again without its code."""

from tests.laws._definition import defined
from tests.laws._models import assert_equal, build, configs, images_for, law


@law(configs(), examples=60)
def test_logits_are_those_of_the_definition(cfg):
    model, images = build(cfg), images_for(cfg)
    assert_equal(model(images), defined(model, images)[0])


@law(configs(), examples=30)
def test_hook_names_are_the_names_of_the_definition_in_forward_order(cfg):
    model, images = build(cfg), images_for(cfg, 1)
    assert model.hook_names() == list(defined(model, images)[1])


@law(configs(), examples=30)
def test_every_value_of_a_default_run_is_that_of_the_definition(cfg):
    model, images = build(cfg), images_for(cfg)
    values, cache = defined(model, images)[1], model.run_with_cache(images)[1]
    for name in model.hook_names():
        assert_equal(cache[name], values[name], name)


@law(configs(), examples=30)
def test_every_value_asked_for_by_name_is_that_of_the_definition(cfg):
    model, images = build(cfg), images_for(cfg)
    values = defined(model, images)[1]
    cache = model.run_with_cache(images, names_filter=model.hook_names())[1]
    assert list(cache) == model.hook_names()
    for name, value in cache.items():
        assert_equal(value, values[name], name)
