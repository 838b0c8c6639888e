// The requests as they happen, newest first. It can be held still without losing any, and goes back in time page by page.

import { Component } from "preact";
import { useEffect, useState } from "preact/hooks";
import { machine, projectName } from "./facets";
import { hue } from "./looks";
import { Panel } from "./panel";
import { go, place, whose } from "./place";
import { add, heldBack, isPaused, pause, shown, type Request } from "./requests";
import { older, hasOlder } from "./past";
import { clock, dayOf, zone, zoned } from "./times";
import { dollars, many, safe, short, shortModel } from "./words";

const STEP = 200;
const SIGNS = { new: "", grown: "↑", corrected: "~", gone: "" } as const;
const SAYS = { new: "new", grown: "has grown", corrected: "was corrected", gone: "gone" } as const;

export function Feed() {
  const [room, setRoom] = useState(STEP);
  const [isAsking, setAsking] = useState(false);
  const find = place.value.feed ?? "";
  const rows = shown.value.filter((each) => chosen(each) && holds(each, find));
  useEffect(() => setRoom(STEP), [whose.value, find]);

  const more = async () => {
    if (rows.length > room) return setRoom(room + STEP);
    setAsking(true);
    try {
      await add(older);
      setRoom(room + STEP);
    } finally {
      setAsking(false);
    }
  };

  return (
    <Panel
      title="Requests"
      name="feed"
      size="w5"
      aside={isPaused.value ? <span class="warn" role="status">held still{heldBack.value > 0 && `, ${many(heldBack.value, "change")} since`}</span> : "live"}
      tools={
        <>
          <input type="search" placeholder="Filter" aria-label="Filter the requests" size={12} value={find} onInput={(event) => go({ feed: event.currentTarget.value }, "replace")} />
          <button type="button" class="button" aria-pressed={isPaused.value} onClick={() => pause(!isPaused.value)}>{isPaused.value ? "Resume" : "Pause"}</button>
        </>
      }
    >
      <div class={rows.length ? "scroll feed" : "scroll feed quiet"} tabIndex={0} role="region" aria-label="Requests, newest first">
        <ol>
          <li class="heads" aria-hidden="true"><span /><span>Time</span><span>Project</span><span>Model</span><span>Prompt</span><span>Output</span><span>Cost</span></li>
          {rows.slice(0, room).map((each) => <Row key={each.key} request={each} name={projectName(each.project ?? "")} zone={zone.value} paint={hue(each.model ?? "")} />)}
        </ol>
        {rows.length === 0 && <p class="empty">{shown.value.length ? "No request holds these words." : "No request yet. They appear here as they are made."}</p>}
        {(rows.length > room || hasOlder.value) && shown.value.length > 0 && <p class="empty"><button type="button" class="button" disabled={isAsking} onClick={more}>Older</button></p>}
      </div>
    </Panel>
  );
}

/** Drawn again only when something about it changed: there are many of them, and they come fast. */
class Row extends Component<{ request: Request; name: string; zone: string; paint: string }> {
  override shouldComponentUpdate(next: { request: Request; name: string; zone: string; paint: string }) {
    return next.request !== this.props.request || next.name !== this.props.name || next.zone !== this.props.zone || next.paint !== this.props.paint;
  }

  render() {
    const { request, name, paint } = this.props;
    const at = request.at ?? "";
    const prompt = request.total_tokens - request.output_tokens;
    const isOld = dayOf(at) !== dayOf(Date.now());
    return (
      <li data-key={request.key} data-fresh={request.isFresh} data-event={request.event}>
        <span class="sign" title={SAYS[request.event]}>{SIGNS[request.event]}</span>
        <button type="button" class="link cut" onClick={() => go({ reply: request.key })} title={zoned(at)}>{isOld ? zoned(at).split(" ").slice(0, 2).join(" ") : clock(at)}<span class="unseen">: explain the reply</span></button>
        <span class="cut" title={safe(request.project ?? "")}>{request.agent ? <span class="muted" title={`subagent ${safe(request.agent)}`}>↳ </span> : null}{safe(name)}</span>
        <span class="model cut" title={safe(request.model ?? "")}><span class="dot" style={{ background: `var(${paint})` }} /><span class="cut">{shortModel(request.model ?? "")}</span></span>
        <span class="muted">{short(prompt)}</span>
        <span title={request.not_final_replies ? "not final: it may be more" : undefined}>{request.not_final_replies ? "≥ " : ""}{short(request.output_tokens)}</span>
        <span class="money">{dollars(request, 4)}</span>
      </li>
    );
  }
}

function chosen(request: Request): boolean {
  const { project, model, agent, host, user } = whose.value;
  if (project && request.project !== project) return false;
  if (model && request.model !== model) return false;
  if (host && machine(request.host) !== host) return false;
  if (user && machine(request.user) !== user) return false;
  return !agent || (agent === "main" ? !request.agent : agent === "subagents" ? Boolean(request.agent) : request.agent === agent);
}

function holds(request: Request, find: string): boolean {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = `${request.project} ${projectName(request.project ?? "")} ${request.model} ${request.session} ${request.agent} ${request.id} ${request.host} ${request.user}`.toLowerCase();
  return words.every((word) => text.includes(word));
}
