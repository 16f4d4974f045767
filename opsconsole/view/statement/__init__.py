"""Statements and credit notes on paper: what they show, and the forms they are handed on in. Pure: values to text."""
