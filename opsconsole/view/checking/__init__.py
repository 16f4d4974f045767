"""What a check found, and how it is told: rows for a table, JUnit XML for CI, Markdown for people."""
