"""What requests cost, what may be spent, how fast, and the books of it.

Before a request leaves:
- `prices` is the price book, filled from `catalogue`; `bounds` is the most that a request can cost by a price.
- `account` is one budget in its period or one balance, with what requests hold on it; `accounts` are all of a worker,
  in memory. `renewing` reads from totals (`spent`) what the memory does not know.
- `gcra` is how fast units may come.

On record (read `ledger` first):
- `ledger` is what the proxy asks: open, settle. `writer` decides which thread writes when, `commits` makes entries one
  transaction and keeps what failed, `entries` are the rows and totals, `interning` the numbers of names, `spending`
  what is taken from balances. `recovery` closes what dead processes left, `deferred` books work that is paid for when
  it is done. `usage` counts tokens where the provider did not.

What people set and look at:
- `budgets` with `held`; `limits`; `balances` with `booking`, and whether they hold: `examining`, `remembered`,
  `resealing`.

Reports, from totals unless they are about single requests:
- `reports` and `summing`, with `spans` and `steps` for time, `groups` and `filtering` for what they are about, `lines`
  and `exporting` for single attempts; `own` for a key's holder; `live`, `recent`, `pivots`, `tallies` and `known_names`
  for who looks each second; `reconciling` beside a provider's bill.

Afterwards:
- `repricing` with `priced_anew` after a wrong price; `statements` of closed months with `closing`,
  `freezing` and `issued`.
"""
