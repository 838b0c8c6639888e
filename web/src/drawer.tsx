// What lies behind a row: a session with its replies, and of a reply the lines, prices and rules that make it what it is.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { address, ask, useAsked } from "./asking";
import type { FeedLine, Line, Originals, Part, Priced, Provenance, Replies, ReplyStory, SessionStory } from "./contract";
import { machineName } from "./facets";
import { hue } from "./looks";
import { news } from "./live";
import { Answer, Failed } from "./panel";
import { go, place } from "./place";
import { clock, dayOf, zoned } from "./times";
import { dollars, duration, many, safe, short, shortId, whole } from "./words";

/** Whether the server was started so that it gives out what the logs say. */
export const showsContent = signal(false);

export function Drawer() {
  const { session, reply } = place.value;
  const isOpen = Boolean(session || reply);
  const dialog = useRef<HTMLDialogElement>(null);
  const before = useRef<Element | null>(null);

  useEffect(() => {
    const shown = dialog.current;
    if (isOpen && shown && !shown.open) {
      before.current = document.activeElement;
      shown.showModal();
    } else if (!isOpen && shown?.open) {
      shown.close();
      if (before.current instanceof HTMLElement) before.current.focus();
    }
  }, [isOpen]);
  useEffect(() => dialog.current?.scrollTo(0, 0), [session, reply]);

  const close = () => go({ session: undefined, reply: undefined });
  return (
    <dialog ref={dialog} aria-labelledby="drawer-title" onCancel={(event) => { event.preventDefault(); close(); }} onClick={(event) => event.target === dialog.current && close()}>
      {isOpen && (
        <div>
          <div class="heading">
            {reply && session && <button type="button" class="button" onClick={() => go({ reply: undefined })}>← Session</button>}
            <h2 id="drawer-title" class="cut">{reply ? "Reply" : "Session"} <span class="mono">{shortId(reply ?? session ?? "")}</span></h2>
            <button type="button" class="button" onClick={close}>Close</button>
          </div>
          {reply ? <Reply key={reply} name={reply} /> : <Session key={session} name={session ?? ""} />}
        </div>
      )}
    </dialog>
  );
}

function Session({ name }: { name: string }) {
  const asked = useAsked<SessionStory>(address(`explain/${encodeURIComponent(name)}`, { as: "session", limit: 1 }), news);
  return (
    <>
      <Box><Answer of={asked}>{(story) => <About story={story} />}</Answer></Box>
      <RepliesOf session={name} />
    </>
  );
}

function About({ story }: { story: SessionStory }) {
  const { first_at: first, last_at: last, owned_elsewhere: elsewhere, copied_to: copied } = story;
  return (
    <dl class="facts">
      <Fact name="Session"><span class="mono">{safe(story.name)}</span></Fact>
      <Fact name="Project">{story.projects.map(safe).join(", ")}</Fact>
      {first && last && <Fact name="Used">{zoned(first)} to {zoned(last)}, {duration(Date.parse(last) - Date.parse(first))}</Fact>}
      <Fact name="Cost"><span class="money">{dollars(story)}</span>{story.not_final_replies > 0 && <span class="tag">{many(story.not_final_replies, "reply", "replies")} not final</span>}</Fact>
      <Fact name="Tokens">{short(story.total_tokens)}: {short(story.cache_read_tokens)} cache read, {short(story.cache_write_5m_tokens + story.cache_write_1h_tokens)} cache write, {short(story.input_tokens)} input, {short(story.output_tokens)} output</Fact>
      <Fact name="Models">{story.models.map((each) => <span key={each.model} class="model" style={{ marginRight: "16px" }}><span class="dot" style={{ background: `var(${hue(each.model)})` }} />{safe(each.model)} <span class="money">{dollars(each)}</span></span>)}</Fact>
      <Fact name="Its lines">{standing(story.provenance)}</Fact>
      {elsewhere.length > 0 && <Fact name="Copies in it">{elsewhere.map(({ session, replies }) => `${many(replies, "reply", "replies")} of session ${shortId(session)}, counted there`).join("; ")}</Fact>}
      {copied.length > 0 && <Fact name="Copied to">{copied.map(({ session, replies }) => `session ${shortId(session)}: ${many(replies, "reply", "replies")}`).join("; ")}</Fact>}
    </dl>
  );
}

function standing({ on_disk, deleted, rewritten, elsewhere }: Provenance): string {
  const told = ([[on_disk, "in logs that are there"], [deleted, "only in logs that were deleted"], [rewritten, "removed by a rewrite"], [elsewhere, "from other machines, whose logs are there"]] as [Part, string][]).filter(([part]) => part.replies > 0);
  return told.map(([part, words]) => `${many(part.replies, "reply", "replies")} ${words}`).join("; ");
}

function RepliesOf({ session }: { session: string }) {
  const [rows, setRows] = useState<readonly FeedLine[]>([]);
  const [cursor, setCursor] = useState<string | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const load = (from: string | null) => {
    setError(null);
    ask<Replies>(address("replies", { session, limit: 100, cursor: from ?? undefined })).then(
      (page) => {
        setRows((before) => (from ? [...before, ...page.replies] : page.replies));
        setCursor(page.next);
      },
      (failed: unknown) => setError(failed as Error),
    );
  };
  useEffect(() => load(null), [session]);
  return (
    <Box title="Replies">
      {error && <Failed error={error} again={() => load(null)} />}
      <div class="scroll" style={{ maxHeight: "none" }} tabIndex={0} role="region" aria-label="Replies of the session">
        <table>
          <thead><tr><th scope="col">Time</th><th scope="col">Model</th><th scope="col" class="number wide-only">Prompt</th><th scope="col" class="number">Output</th><th scope="col" class="number">Cost</th></tr></thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.key}>
                <td class="time"><button type="button" class="link" onClick={() => go({ reply: row.key })}>{zoned(row.at ?? "")}<span class="unseen">: explain the reply</span></button></td>
                <td class="name-cell cut"><span class="model"><span class="dot" style={{ background: `var(${hue(row.model ?? "")})` }} /><span class="cut">{row.agent && "↳ "}{safe(row.model ?? "")}</span></span></td>
                <td class="number wide-only">{short(row.total_tokens - row.output_tokens)}</td>
                <td class="number">{row.not_final_replies ? "≥ " : ""}{short(row.output_tokens)}</td>
                <td class="number money">{dollars(row, 4)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {cursor && <p class="empty"><button type="button" class="button" onClick={() => load(cursor)}>Older</button></p>}
    </Box>
  );
}

function Reply({ name }: { name: string }) {
  const asked = useAsked<ReplyStory>(address(`explain/${encodeURIComponent(name)}`, { as: "reply" }), news);
  return (
    <Answer of={asked}>
      {(story) => (
        <div class="stack">
          <Box>
            <dl class="facts">
              <Fact name="Id"><span class="mono">{safe(story.id ?? story.key)}</span></Fact>
              <Fact name="When">{dayOf(story.at)} {clock(story.at)}</Fact>
              <Fact name="Session"><button type="button" class="link mono" onClick={() => go({ session: story.session, reply: undefined })}>{shortId(story.session)}</button>{story.agent && <span class="tag">↳ subagent {shortId(story.agent)}</span>}</Fact>
              <Fact name="Project">{safe(story.project_name)}</Fact>
              {(story.host || story.user) && <Fact name="Machine">{safe(machineName(story.host))} <span class="muted">of {safe(machineName(story.user))}</span></Fact>}
              <Fact name="Model">{safe(story.model)} <span class="muted">{story.version && `Claude Code ${safe(story.version)}`}</span></Fact>
              <Fact name="Tokens">{whole(story.total_tokens)}</Fact>
              <Fact name="Cost"><span class="money">{dollars(story, 6)}</span>{!story.is_final && <span class="tag warn">not final: it may be more</span>}</Fact>
            </dl>
          </Box>
          {story.prices.map((priced, index) => <Price key={index} priced={priced} />)}
          <Box title={`${many(story.lines.length, "line")} of the logs`}>
            {story.stands === "elsewhere" && <p>It came from another machine, and its log is there.</p>}
            <ul class="lines">{story.lines.map((line, index) => <LineOf key={index} line={line} />)}</ul>
            {showsContent.value && <Original name={story.key} />}
          </Box>
          <Box title="Rules">
            <dl class="facts">{story.rules.map(({ rule, says }, index) => <Fact key={index} name={rule}>{safe(says)}</Fact>)}</dl>
          </Box>
        </div>
      )}
    </Answer>
  );
}

const ROLES: Readonly<Record<string, string>> = { counted: "counted", repeated: "says the same again", earlier: "an earlier state", copy: "a copy", replay: "a replay, dropped", unknown: "cannot be told" };
const STANDS: Readonly<Record<string, string>> = { on_disk: "", deleted: "its log was deleted", rewritten: "removed by a rewrite" };

function LineOf({ line }: { line: Line }) {
  return (
    <li data-counted={line.role === "counted"}>
      <strong>{ROLES[line.role] ?? safe(line.role)}</strong>
      {STANDS[line.stands] && <span class="tag warn">{STANDS[line.stands]}</span>}
      {line.output_tokens !== null && <span class="muted"> output {whole(line.output_tokens)}{line.is_final === false && ", not final"}</span>}
      {line.unread && <span class="bad"> {safe(line.unread)}</span>}
      <div class="mono muted" style={{ overflowWrap: "anywhere" }}>{safe(line.file)} at byte {whole(line.offset_bytes)}</div>
    </li>
  );
}

function Price({ priced }: { priced: Priced }) {
  return (
    <Box title="Price" aside={`${safe(priced.listed_as ?? priced.model)}, ${priced.day}`}>
      {priced.terms.length === 0 ? (
        <p class="warn">No price is known for this model, so its cost is unknown, not zero.</p>
      ) : (
        <table>
          <thead><tr><th scope="col">Counter</th><th scope="col" class="number">Amount</th><th scope="col" class="number">USD a million</th><th scope="col" class="number">Cost</th></tr></thead>
          <tbody>
            {priced.terms.filter(({ amount }) => amount > 0).map((term) => (
              <tr key={term.name}>
                <td>{safe(term.name).replaceAll("_", " ")}</td><td class="number">{whole(term.amount)}</td>
                <td class="number">{(term.usd_each * 1e6).toLocaleString("en-US", { maximumFractionDigits: 4 })}</td><td class="number money">${term.cost_usd.toFixed(6)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Box>
  );
}

/** The lines themselves are content: they are served only where the server was started so, and asked for only by a click. */
function Original({ name }: { name: string }) {
  const [text, setText] = useState<string | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const load = () =>
    ask<Originals>(address(`original/${encodeURIComponent(name)}`)).then(
      ({ lines }) => setText(lines.map(({ original }) => original ?? "(it is no longer there)").join("\n\n")),
      (failed: unknown) => setError(failed as Error),
    );
  if (error) return <Failed error={error} again={load} />;
  return text === null ? <p style={{ marginTop: "10px" }}><button type="button" class="button" onClick={load}>Show the original lines</button></p> : <pre tabIndex={0}>{text}</pre>;
}

function Box({ title, aside, children }: { title?: string; aside?: string; children: ComponentChildren }) {
  return (
    <section class="panel">
      {title && <header><h2>{title}</h2>{aside && <span class="aside">{aside}</span>}</header>}
      <div class="body">{children}</div>
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return <><dt>{name}</dt><dd>{children}</dd></>;
}
