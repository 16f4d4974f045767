"""Comparing models on the same prompts: asking them, grading what they say, and telling what the differences are worth.

A prompt is the unit: each goes to each model, repeats of it are averaged, and every statistic is of pairs of answers to
the same prompt. What is not known (a cost, a count, who is better) is told as unknown.
"""
