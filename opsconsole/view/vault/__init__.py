"""The Vault view: provider accounts, their credentials and how those do; the vault that holds them."""
