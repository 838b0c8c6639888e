"""`tokentail hub`: the tokens of the hub that `tokentail web --accept` is."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tokentail import database
from tokentail.errors import UsageError
from tokentail.reports import text

if TYPE_CHECKING:
    from tokentail.fleet.hub_tokens import HubToken


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "What other machines and people need to send to the hub on this machine, and to read it (docs/hub.md)."
    things = parser.add_subparsers(title="things", metavar="THING", required=True)
    token = things.add_parser(
        "token", help="who may send, who may read", description="Who may send to this machine's hub, who may read it."
    )
    actions = token.add_subparsers(title="actions", metavar="ACTION", required=True)
    add = actions.add_parser(
        "add", help="make one, and show it once", description="Make a token, and show it this once: only a hash is kept."
    )
    add.add_argument("name", metavar="NAME", help="what it is called in the list, like the machine")
    add.add_argument("--role", choices=("agent", "viewer"), required=True, help="an agent's token only sends, a viewer's only reads")
    add.add_argument("--host", metavar="HOST", default="", help="an agent may send records of this machine only (any)")
    add.add_argument("--user", metavar="USER", default="", help="an agent may send records of this user only (any)")
    add.set_defaults(run=run_add)
    shown = actions.add_parser(
        "list", help="which there are, and when each was used last", description="Which tokens there are; without what opens anything."
    )
    shown.set_defaults(run=run_list)
    revoke = actions.add_parser(
        "revoke", help="one opens nothing any more", description="From the next request on, also of a hub that runs, it opens nothing."
    )
    revoke.add_argument("name", metavar="NAME")
    revoke.set_defaults(run=run_revoke)


def run_add(args: argparse.Namespace) -> int:
    from tokentail.fleet import hub_tokens

    if args.role == hub_tokens.VIEWER and (args.host or args.user):
        raise UsageError("a viewer's token reads everything: --host and --user are for agents (leave them out)")
    word = hub_tokens.add(database.home_folder(os.environ), args.name, args.role, host=args.host, user=args.user)
    print(word)
    if args.role == hub_tokens.AGENT:
        what = "it sends: set TOKENTAIL_PUSH_TOKEN to it on the machine that runs `tokentail push`"
    else:
        what = "it reads: open the hub's address with #token= and it behind, or send it as `Authorization: Bearer`"
    print(f"tokentail: the token is shown this once; {what}", file=sys.stderr)
    return 0


def run_list(args: argparse.Namespace) -> int:
    from tokentail.fleet import hub_tokens

    home = database.home_folder(os.environ)
    tokens, uses = hub_tokens.read(home), hub_tokens.uses_in(home)
    if not tokens:
        print("There is no token (`tokentail hub token add NAME --role agent` makes one).")
    rows = [("NAME", "ROLE", "HOST", "USER", "MADE", "LAST USED"), *(_row(token, uses) for token in tokens.values())] if tokens else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def run_revoke(args: argparse.Namespace) -> int:
    from tokentail.fleet import hub_tokens

    hub_tokens.revoke(database.home_folder(os.environ), args.name)
    print(text.safe(f"The token {args.name} opens nothing any more."))
    return 0


def _row(token: HubToken, uses: Mapping[str, int]) -> tuple[str, ...]:
    names = (token.name, token.role, token.host or "any", token.user or "any")
    used_ms = uses.get(token.name, 0)
    # An older one may have borne the name.
    return (*map(text.safe, names), _utc(token.made_ms), _utc(used_ms) if used_ms >= token.made_ms else "never")


def _utc(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at_ms / 1000))
