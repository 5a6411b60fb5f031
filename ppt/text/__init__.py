"""From a raw text to prose, from prose to sentences, and from these to sentiment by rule.

In comes text of any kind; out go the prose in it, sentences with exactly NLTK Punkt's boundaries,
and VADER's scores to the last bit, each several times as fast as the original. No corpus, no
model. Read `sentences` and `extract` first; what they name are their engines.
"""
