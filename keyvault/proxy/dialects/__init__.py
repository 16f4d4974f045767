"""What the proxy knows of each API's shapes: request bodies, streams, usage, errors.

`body` reads the head fields of a request and writes it anew for a target. `sse` cuts a stream into events; a meter
(`chat`, `responses`, `messages`, `typed`) reads beside it; `answers` reads an answer that is no stream; `meter` is the
door to both. `usage` brings every provider's counts to one convention. `errors` speaks errors, `provider_errors` reads
them.
"""
