"""What a comparison of models found: its figures, the sentences that say what they are worth, and its forms.

Pure: from values to text.
"""
