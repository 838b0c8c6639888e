// The sessions of the chosen days: found by words, ordered by a click on a title, opened with Enter.

import { useState } from "preact/hooks";
import { address, useAsked } from "./asking";
import type { Sessions as Answered, SessionRow } from "./contract";
import { slowNews } from "./live";
import { Answer, Panel } from "./panel";
import { days, go, place, whose } from "./place";
import { zoned } from "./times";
import { dollars, duration, many, safe, short, shortId, whole } from "./words";

const STEP = 100;
const MOST = 500; // what the server gives at once

const ORDERS = ["latest", "cost", "tokens", "name"] as const;
type Order = (typeof ORDERS)[number];
const USUAL: Order = "latest";

export function Sessions({ isAsked }: { isAsked: boolean }) {
  const [room, setRoom] = useState(STEP);
  const { find, order } = place.value;
  const asked = useAsked<Answered>(isAsked ? address("sessions", { ...days.value, ...whose.value, search: find?.trim(), order: ORDERS.find((each) => each === order) ?? USUAL, limit: room }) : null, slowNews);
  return (
    <Panel
      title="Sessions"
      name="sessions"
      size="w7"
      aside={asked.data && many(asked.data.total, "session")}
      tools={<input type="search" placeholder="Find by project, model or id" aria-label="Find sessions" value={find ?? ""} onInput={(event) => go({ find: event.currentTarget.value }, "replace")} />}
    >
      <Answer of={asked}>
        {({ rows, total }) =>
          rows.length === 0 ? (
            <p class="empty">{find ? "No session holds these words." : "No session in these days."}</p>
          ) : (
            <div class="scroll" tabIndex={0} role="region" aria-label="Sessions as a table">
              <Table rows={rows} />
              {total > rows.length && (
                <p class="empty">
                  {room < MOST ? <button type="button" class="button" onClick={() => setRoom(room + STEP)}>Show more of {whole(total)}</button> : `The first ${whole(rows.length)} of ${whole(total)}. Words or days find the others.`}
                </p>
              )}
            </div>
          )
        }
      </Answer>
    </Panel>
  );
}

function Table({ rows }: { rows: readonly SessionRow[] }) {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">Session</th>
          <Title words="Project" orders={["name"]} signs={["↑"]} />
          <Title words="Last used" orders={["latest"]} signs={["↓"]} class="wide-only" />
          <th scope="col" class="number wide-only">Lasted</th>
          <th scope="col" class="number">Replies</th>
          <Title words="Tokens" orders={["tokens"]} signs={["↓"]} class="number wide-only" />
          <Title words="Cost" orders={["cost"]} signs={["↓"]} class="number" />
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.session}>
            <td><button type="button" class="link mono" onClick={() => go({ session: row.session })} title={safe(row.session)}>{shortId(row.session)}<span class="unseen"> of {safe(row.project_name)}: open the session</span></button></td>
            <td class="name-cell cut" title={safe(row.project_name)}>
              {safe(row.project_name)}
              {row.subagents && <span class="tag" title={many(row.subagents.agents, "subagent")}>↳ {row.subagents.agents}</span>}
              {(row.host || row.user) && <span class="tag" title={`${safe(row.host)} of ${safe(row.user)}`}>{safe(row.user || row.host)}</span>}
            </td>
            <td class="wide-only">{zoned(row.last_at)}</td>
            <td class="number wide-only">{duration(Date.parse(row.last_at) - Date.parse(row.first_at))}</td>
            <td class="number">{whole(row.replies)}</td>
            <td class="number wide-only">{short(row.total_tokens)}</td>
            <td class="number money" title={row.not_final_replies ? `${many(row.not_final_replies, "reply", "replies")} not final` : undefined}>{dollars(row)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A title that orders; a click on it again takes the next of its orders. */
function Title({ words, orders, signs, class: named = "" }: { words: string; orders: readonly Order[]; signs: readonly string[]; class?: string }) {
  const now = place.value.order ?? USUAL;
  const at = orders.findIndex((each) => each === now);
  const next = orders[(at + 1) % orders.length];
  const sort = at < 0 ? {} : { "aria-sort": signs[at] === "↓" ? ("descending" as const) : ("ascending" as const) };
  return (
    <th scope="col" class={named} {...sort}>
      <button type="button" class="link" onClick={() => go({ order: next === USUAL ? undefined : next })}>{words}{at >= 0 && ` ${signs[at]}`}</button>
    </th>
  );
}
