"""`tokentail web`: the page, the API and the metrics."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from tokentail import database
from tokentail.commands import options
from tokentail.reports import text

if TYPE_CHECKING:
    from pathlib import Path

    from tokentail.fleet.central import Central
    from tokentail.fleet.clickhouse.data import Stored
    from tokentail.prices import PriceList
    from tokentail.web.tokens import Token

PORT = 8484


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "The live page, its API and metrics for Prometheus, on this machine (docs/web.md)."
    options.add_places(parser)
    options.add_interval(parser)
    options.add_zone(parser)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1); what others can reach needs the token")
    parser.add_argument("--port", type=port, default=PORT, help=f"the port to listen on ({PORT}); 0 is any that is free")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument("--show-content", action="store_true", help="serve the lines of the logs, too, to whoever has the token: CONTENT")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="another name that this server is called by")
    parser.add_argument(
        "--accept", action="store_true", help="be a hub: take in what other machines send with `tokentail push` (docs/hub.md)"
    )
    options.add_store(parser)
    parser.add_argument("--new-token", action="store_true", help="make a new token, and show it; the one before opens nothing any more")
    parser.set_defaults(run=run)


def port(word: str) -> int:
    number = int(word)
    if not 0 <= number < 65_536:
        raise ValueError(word)
    return number


def run(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.fleet.hub_tokens import Keyring
    from tokentail.web.answers import Place
    from tokentail.web.gate import Rules, is_local
    from tokentail.web.server import listen, serve

    zone, source, price_list, settings = options.zone(args), options.source(args), options.price_list(args), options.settings(args)
    is_reachable = not is_local(args.host)
    needs_token = is_reachable or args.accept  # what a hub holds is not only of who has a login on its machine
    with contextlib.closing(listen(args.host, args.port)) as listening:
        word, token = _token(args, is_wanted=needs_token or args.show_content)
        address = _address(args.host, listening.getsockname()[1])
        keyring = Keyring(database.home_folder(os.environ)) if args.accept else None
        rules = Rules(args.host, tuple(name.casefold() for name in args.allow_host), token, needs_token, keyring)
        if is_reachable:
            text.warn(
                f"{args.host} can be reached by others, and there is no TLS: whoever can listen on the way reads all of it, the token "
                "included (put a proxy that speaks TLS in front, or an SSH tunnel)"
            )
        place = Place(options.store_path(args), source.names, price_list, zone, settings, args.show_content)
        coordinator = UpdateCoordinator(source, place.store, prices=price_list, progress=options.progress())
        central, shared = _central(args, place.store, price_list)

        def tell() -> None:
            print(f"tokentail: {address}{f'#token={word}' if word else ''}", file=sys.stderr)
            if word:
                print("tokentail: this address holds the token, and is shown this once (--new-token makes another one)", file=sys.stderr)
            elif token is not None:
                print("tokentail: the token is the one that was shown when it was made (--new-token makes another one)", file=sys.stderr)
            print("ready", file=sys.stderr, flush=True)
            if not args.no_browser and options.on_terminal():
                import webbrowser

                webbrowser.open(f"{address}{f'#token={word}' if word else ''}")

        asked = contextlib.closing(shared) if shared is not None else contextlib.nullcontext()
        with contextlib.closing(coordinator), options.watching_budgets(args, price_list), asked:
            return serve(place, coordinator, rules, listening, on_ready=tell, central=central, shared=shared)


def _central(args: argparse.Namespace, store: Path, prices: PriceList) -> tuple[Central | None, Stored | None]:
    """Where a hub keeps what it takes in, and who asks that, where it is not the store of this machine."""
    from tokentail.fleet.sqlite import SqliteCentral

    if not args.store:
        return SqliteCentral(store, prices.thresholds) if args.accept else None, None
    from tokentail.fleet.clickhouse.address import parse
    from tokentail.fleet.clickhouse.central import ClickHouse
    from tokentail.fleet.clickhouse.data import Stored

    central = ClickHouse(parse(args.store), makes=args.accept)
    if args.accept:
        central.set_thresholds(prices.thresholds)
    asked = central if central.server.address.scheme == "chdb" else ClickHouse(central.server.address, makes=False)
    return central if args.accept else None, Stored(asked, prices)


def _token(args: argparse.Namespace, *, is_wanted: bool) -> tuple[str, Token | None]:
    """The token to show, where one is made now, and what is known of it."""
    from tokentail.web import tokens

    home = database.home_folder(os.environ)
    known = tokens.read(home)
    if not (args.new_token or (is_wanted and known is None)):
        return "", known if is_wanted else None
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tokens.make(home)


def _address(host: str, number: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # shown, not bound
    return f"http://{shown}:{number}/"
