"""Moving here from another gateway: reads its files, says what can be carried over and what cannot, and does it."""
