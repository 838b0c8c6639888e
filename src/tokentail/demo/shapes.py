"""
The only place that spells the lines of a made-up log: their keys, and the order of the keys.

Shapes and orders are those met in logs of Claude Code 1.0 to 2.1; there is no published schema.
Two generations: before 2.1 ("old") and since.
"""

from __future__ import annotations

import json
import random
from typing import NamedTuple

from tokentail.model import Tokens
from tokentail.periods import DAY_MS, at

_ALNUM = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_TO_ALNUM = bytes(_ALNUM[byte % len(_ALNUM)] for byte in range(256))
_day_names: dict[int, str] = {}


class Session(NamedTuple):
    """What all lines of a session say about it."""

    id: str
    cwd: str
    slug: str  # the folder under `projects`
    version: str
    nickname: str
    old: bool
    background: bool = False  # handed over to run on its own


class Envelope(NamedTuple):
    """What stands around the content of every line of a conversation; the parent's id and the content go in between."""

    opening: bytes
    middle: bytes
    closing: bytes


class Use(NamedTuple):
    """The counts of an answer as a log spells them."""

    input: int
    output: int
    read: int
    written: int
    split: tuple[int, int] | None  # cache writes of 5 minutes and of 1 hour; None: not told
    searches: int = 0
    fast: bool = False
    more: bytes = b""  # further iterations

    def tokens(self) -> Tokens:
        """What they count as (R5)."""
        five, hour = self.split if self.split and sum(self.split) else (self.written, 0)
        return Tokens(self.input, self.output, self.read, five, hour)


def iso(at_ms: int) -> str:
    """The moment as logs spell it; a hundred times as fast as `datetime`, and there are millions."""
    day, rest = divmod(at_ms, DAY_MS)
    name = _day_names.get(day)
    if name is None:
        name = _day_names[day] = at(day * DAY_MS).strftime("%Y-%m-%dT")
    seconds, milliseconds = divmod(rest, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{name}{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{milliseconds:03d}Z"


def uuid(rng: random.Random) -> str:
    digits = rng.randbytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-b{digits[17:20]}-{digits[20:]}"


def token(rng: random.Random, head: str, length: int) -> str:
    """An id of the kind msg_01..., req_011C..., toolu_01...."""
    return head + rng.randbytes(length).translate(_TO_ALNUM).decode()


def envelope(session: Session, cwd: str, branch: str, *, agent: str = "", side: bool = False) -> Envelope:
    who = f',"isSidechain":{"true" if side or agent else "false"},'
    agent_id = f'"agentId":"{agent}",' if agent else ""
    place = f'"cwd":{json.dumps(cwd)},"sessionId":"{session.id}","version":"{session.version}","gitBranch":"{branch}"'
    if session.old:
        return Envelope(b'{"parentUuid":', f'{who}"userType":"external",{place},{agent_id}'.encode(), b"}")
    kind = ',"sessionKind":"bg"' if session.background and not agent else ""
    closing = f',"userType":"external","entrypoint":"cli",{place}{kind},"slug":"{session.nickname}"}}'
    return Envelope(b'{"parentUuid":', f"{who}{agent_id}".encode(), closing.encode())


def usage(use: Use, *, old: bool, early: bool) -> bytes:
    """The `usage` object; early copies of an answer lack what is known at its end."""
    caches = f'"cache_creation_input_tokens":{use.written},"cache_read_input_tokens":{use.read}'
    five, hour = use.split or (0, 0)
    split = f',"cache_creation":{{"ephemeral_5m_input_tokens":{five},"ephemeral_1h_input_tokens":{hour}}}' if use.split else ""
    if old or early:
        geo = "" if old else ',"inference_geo":"not_available"'
        return f'{{"input_tokens":{use.input},{caches}{split},"output_tokens":{use.output},"service_tier":"standard"{geo}}}'.encode()
    iterations = (
        f'[{{"input_tokens":{use.input},"output_tokens":{use.output},"cache_read_input_tokens":{use.read},'
        f'"cache_creation_input_tokens":{use.written}{split},"type":"message"}}'
    )
    return (
        f'{{"input_tokens":{use.input},{caches},"output_tokens":{use.output},'
        f'"server_tool_use":{{"web_search_requests":{use.searches},"web_fetch_requests":0}},"service_tier":"standard"'
        f'{split},"inference_geo":"","iterations":{iterations}'.encode()
        + use.more
        + f'],"speed":"{"fast" if use.fast else "standard"}"}}'.encode()
    )


def iteration(kind: str, model: str, tokens: Tokens) -> bytes:
    """One more entry of `iterations`: a model that was asked on the way."""
    return (
        f',{{"type":"{kind}","model":"{model}","input_tokens":{tokens.input},"output_tokens":{tokens.output},'
        f'"cache_read_input_tokens":{tokens.cache_read},"cache_creation_input_tokens":{tokens.cache_write_5m}}}'
    ).encode()


def answer(block: bytes, spent: bytes, *, model: str, message: str, request: str, stop: str, old: bool) -> bytes:
    """The content of an `assistant` line; `message` and `request` may be empty: the key is left out."""
    own_id = f'"id":"{message}",' if message else ""
    asked = f',"requestId":"{request}"' if request else ""
    reason = f'"{stop}"' if stop else "null"
    head = (
        f'"message":{{{own_id}"type":"message","role":"assistant","model":"{model}","content":['
        if old
        else f'"message":{{"model":"{model}",{own_id}"type":"message","role":"assistant","content":['
    )
    details = "" if old else ',"stop_details":null'
    return b"".join(
        (
            head.encode(),
            block,
            f'],"stop_reason":{reason},"stop_sequence":null{details},"usage":'.encode(),
            spent,
            f'}}{asked},"type":"assistant",'.encode(),
        )
    )


def error_answer(rng: random.Random, text: str, error: str) -> bytes:
    """The content of a line that Claude Code writes itself when the model cannot be reached; it costs nothing."""
    return (
        f'"message":{{"id":"{uuid(rng)}","container":null,"model":"<synthetic>","role":"assistant","stop_reason":"stop_sequence",'
        f'"stop_sequence":"","type":"message","usage":{{"input_tokens":0,"output_tokens":0,"cache_creation_input_tokens":0,'
        f'"cache_read_input_tokens":0,"server_tool_use":{{"web_search_requests":0,"web_fetch_requests":0}},"service_tier":null,'
        f'"cache_creation":{{"ephemeral_1h_input_tokens":0,"ephemeral_5m_input_tokens":0}},"inference_geo":null,"iterations":null,'
        f'"speed":null}},"content":[{{"type":"text","text":"{text}"}}]}},"type":"assistant","error":"{error}","isApiErrorMessage":true,'
    ).encode()


def thinking(text: bytes, signature: bytes) -> bytes:
    return b'{"type":"thinking","thinking":"' + text + b'","signature":"' + signature + b'"}'


def prose(text: bytes) -> bytes:
    return b'{"type":"text","text":"' + text + b'"}'


def tool_use(call: str, name: str, wanted: bytes, *, old: bool) -> bytes:
    caller = b"}" if old else b',"caller":{"type":"direct"}}'
    return f'{{"type":"tool_use","id":"{call}","name":"{name}","input":'.encode() + wanted + caller


def user(content: bytes) -> bytes:
    return b'"type":"user","message":{"role":"user","content":' + content + b"},"


def tool_result(call: str, text: bytes, *, failed: bool) -> bytes:
    ending = b'","is_error":true}]' if failed else b'"}]'
    return f'[{{"tool_use_id":"{call}","type":"tool_result","content":"'.encode() + text + ending


def image_result(call: str, data: bytes) -> bytes:
    head = f'[{{"tool_use_id":"{call}","type":"tool_result","content":[{{"type":"image","source":{{"type":"base64","data":"'
    return head.encode() + data + b'","media_type":"image/png"}}]}]'


def agent_outcome(agent: str, tokens: Tokens, duration_ms: int) -> bytes:
    """What a tool result tells of a subagent; its `usage` repeats one call's and must not count."""
    return (
        f',"toolUseResult":{{"status":"completed","agentId":"{agent}","content":[{{"type":"text","text":"done"}}],'
        f'"totalDurationMs":{duration_ms},"totalTokens":{tokens.total},"totalToolUseCount":7,"usage":{{'
        f'"input_tokens":{tokens.input},"cache_creation_input_tokens":{tokens.cache_write_5m},'
        f'"cache_read_input_tokens":{tokens.cache_read},"output_tokens":{tokens.output}}}}}'
    ).encode()


def agent_progress(line: bytes, agent: str, call: str) -> bytes:
    """A whole line of a subagent inside a line of its parent; its usage must not count."""
    return (
        b'"type":"progress","data":{"message":'
        + line
        + f',"normalizedMessages":[],"type":"agent_progress","prompt":"look around","agentId":"{agent}"}},'.encode()
        + f'"toolUseID":"agent_{call}","parentToolUseID":"{call}",'.encode()
    )
