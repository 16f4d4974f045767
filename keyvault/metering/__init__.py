"""What requests cost: prices, usage, the ledger and the reports read from it."""
