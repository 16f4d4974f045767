"""The Keys view: who may call, in which state, and how much of their money is spent."""
