"""The console: Textual screens and widgets over the pure functions of `opsconsole.view`.

`poller` reads in a thread and posts; `app` holds the newest `Feed`; `screens` draw it; `actions` is the one list of
what keys, palette and help offer.
"""
