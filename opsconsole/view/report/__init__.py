"""Reports for finance: nested groups that add up, and the forms they are handed on in. Pure: from values to text."""
