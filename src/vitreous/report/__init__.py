"""Where methods and views meet: pages that explain a model to a person."""

from vitreous.report._explain import Explanation, explain

__all__ = ["Explanation", "explain"]
