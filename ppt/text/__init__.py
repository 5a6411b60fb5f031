"""From a document's text to sentences, and from a sentence to its sentiment by rule.

In comes normalised text; out go sentences with exactly NLTK Punkt's boundaries, and VADER's
scores to the last bit, each several times as fast as the original. No corpus, no model.
Read `sentences` first; `punkt` and `vader` are its engines.
"""
