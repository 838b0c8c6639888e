// What each machine and each person used, where other machines send to this one. A click chooses one.

import type { Asked } from "./asking";
import type { Counts, HostRow, Report, UserRow } from "./contract";
import { machine, machineName } from "./facets";
import { Answer, Panel } from "./panel";
import { place, toggle } from "./place";
import { zoned } from "./times";
import { dollars, many, safe, short } from "./words";

interface Row extends Counts {
  readonly name: string;
  readonly last_at: string;
}

export function Machines({ hosts, users }: { hosts: Asked<Report<HostRow>>; users: Asked<Report<UserRow>> }) {
  return (
    <Panel title="Machines and people" name="machines" size="w12" aside={hosts.data && many(hosts.data.rows.length, "machine")}>
      <div class="pair">
        <Answer of={hosts}>{({ rows }) => <Table title="Machine" what="host" rows={rows.map((row) => ({ ...row, name: row.host }))} />}</Answer>
        <Answer of={users}>{({ rows }) => <Table title="Person" what="user" rows={rows.map((row) => ({ ...row, name: row.user }))} />}</Answer>
      </div>
    </Panel>
  );
}

function Table({ title, what, rows }: { title: string; what: "host" | "user"; rows: readonly Row[] }) {
  if (rows.length === 0) return <p class="empty">Nothing was used in these days.</p>;
  const most = Math.max(...rows.map((row) => row.cost_usd ?? 0), 1e-9);
  return (
    <div class="scroll" style={{ maxHeight: "278px" }} tabIndex={0} role="region" aria-label={`${title}s as a table`}>
      <table>
        <thead><tr><th scope="col">{title}</th><th scope="col" class="bar-cell"><span class="unseen">Share</span></th><th scope="col" class="wide-only">Last used</th><th scope="col" class="number">Tokens</th><th scope="col" class="number">Cost</th></tr></thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.name} class={place.value[what] === machine(row.name) ? "chosen" : undefined}>
              <td class="name-cell cut"><button type="button" class="link cut" onClick={() => toggle(what, machine(row.name))} title={safe(machineName(row.name))}>{safe(machineName(row.name))}</button></td>
              <td class="bar-cell"><span class="bar" style={{ width: `${((row.cost_usd ?? 0) / most) * 100}%` }} /></td>
              <td class="wide-only">{zoned(row.last_at)}</td>
              <td class="number">{short(row.total_tokens)}</td>
              <td class="number money">{dollars(row)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
