"""The only place that spells the lines of a made-up log that never carry usage: progress, snapshots, titles and the like."""

from __future__ import annotations

import random
from collections.abc import Callable

from tokentail.demo.shapes import iso, uuid
from tokentail.demo.texts import Texts

_FILES = ("loom.py", "kettle.ts", "mesh.rs", "README.md", "kiln_test.py", "pulse.go")


def _hook(rng: random.Random, texts: Texts) -> bytes:
    event = rng.choice(("PreToolUse", "PostToolUse", "SessionStart"))
    command = texts.text(rng, 64)
    return (
        f'"type":"progress","data":{{"type":"hook_progress","hookEvent":"{event}","hookName":"{event}:Bash","command":"'.encode()
        + command
        + f'"}},"parentToolUseID":"{uuid(rng)}","toolUseID":"{uuid(rng)}",'.encode()
    )


def _shell(rng: random.Random, texts: Texts) -> bytes:
    output = texts.text(rng, rng.lognormvariate(5.2, 0.8))
    return (
        b'"type":"progress","data":{"type":"bash_progress","output":"'
        + output
        + f'","elapsedTimeSeconds":{rng.randint(2, 120)},"totalLines":{rng.randint(1, 900)}}},'.encode()
        + f'"toolUseID":"bash-progress-{rng.randint(0, 9)}","parentToolUseID":"{uuid(rng)}",'.encode()
    )


def _turn(rng: random.Random, texts: Texts) -> bytes:
    return f'"type":"system","subtype":"turn_duration","durationMs":{rng.randint(900, 400_000)},"isMeta":false,'.encode()


def _attachment(rng: random.Random, texts: Texts) -> bytes:
    return b'"attachment":{"type":"todo_reminder","content":"' + texts.text(rng, rng.lognormvariate(5.5, 1.0)) + b'"},"type":"attachment",'


LINKED: tuple[Callable[[random.Random, Texts], bytes], ...] = (_hook, _hook, _shell, _shell, _turn, _attachment)
"""Contents of lines that stand in the chain of a conversation, in an envelope."""


def snapshot(rng: random.Random, at_ms: int) -> bytes:
    """A whole line: which files were changed."""
    message, moment = uuid(rng), iso(at_ms)
    files = ",".join(
        f'"src/{rng.choice(_FILES)}":{{"backupFileName":"{rng.getrandbits(64):016x}@v{number}","version":{number},"backupTime":"{moment}"}}'
        for number in range(1, rng.randint(1, 6))
    )
    return (
        f'{{"type":"file-history-snapshot","messageId":"{message}","snapshot":{{"messageId":"{message}",'
        f'"trackedFileBackups":{{{files}}},"timestamp":"{moment}"}},"isSnapshotUpdate":false}}'
    ).encode()


def loose(rng: random.Random, texts: Texts, session: str, at_ms: int) -> bytes:
    """A whole line without an envelope; these are not copied when a session is resumed."""
    match rng.randrange(6):
        case 0:
            return f'{{"type":"summary","summary":"Mend the {rng.choice(_FILES)} usage","leafUuid":"{uuid(rng)}"}}'.encode()
        case 1:
            moment = iso(at_ms)
            return (
                f'{{"type":"queue-operation","operation":"enqueue","timestamp":"{moment}","sessionId":"{session}",'
                f'"content":"then look at \\"usage\\" too"}}'
            ).encode()
        case 2:
            return b'{"type":"last-prompt","lastPrompt":"' + texts.text(rng, 64) + f'","sessionId":"{session}"}}'.encode()
        case 3:
            return f'{{"type":"ai-title","aiTitle":"{rng.choice(_FILES)}","sessionId":"{session}"}}'.encode()
        case 4:
            return f'{{"type":"permission-mode","permissionMode":"default","sessionId":"{session}"}}'.encode()
        case _:
            return snapshot(rng, at_ms)


def compact_boundary(before: int) -> bytes:
    return (
        f'"type":"system","subtype":"compact_boundary","content":"Conversation compacted",'
        f'"compactMetadata":{{"trigger":"auto","preTokens":{before}}},'
    ).encode()
