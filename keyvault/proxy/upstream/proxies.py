"""Forward proxies, by the rules that every call to a provider follows."""

from keyvault.domain.outgoing import Proxies

__all__ = ["Proxies"]
