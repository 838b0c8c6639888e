// What the engine does: what it tracks, what its latest looks at the logs found and took, and what is not as it should be.

import type { Asked } from "./asking";
import type { Look, Status } from "./contract";
import { Answer, Panel } from "./panel";
import { clock } from "./times";
import { many, safe, size, took, whole } from "./words";

export function Engine({ asked }: { asked: Asked<Status> }) {
  const following = asked.data?.following;
  return (
    <Panel title="Engine" name="engine" size="w4" aside={following ? (following.silent_ms > 5000 ? <span class="warn">silent for {took(following.silent_ms)}</span> : following.mode === "polling" ? "polling" : "file events") : ""}>
      <Answer of={asked}>{(status) => <Figures status={status} />}</Answer>
    </Panel>
  );
}

function Figures({ status }: { status: Status }) {
  const { following, tracked, counted } = status;
  return (
    <>
      <dl class="figures">
        <Figure name="Log files" value={whole(status.logs.files)} more={size(status.logs.size_bytes)} />
        <Figure name="Replies counted" value={counted ? whole(counted.replies) : "–"} more={counted ? `of ${many(counted.sessions, "session")}` : ""} />
        <Figure name="Write to count" value={following?.late_ms ? took(following.late_ms.p50) : "–"} more={following?.late_ms ? `p99 ${took(following.late_ms.p99)}` : ""} />
        <Figure name="A look takes" value={following?.took_ms ? took(following.took_ms.p50) : "–"} more={following?.took_ms ? `p99 ${took(following.took_ms.p99)}` : ""} />
        <Figure name="Bytes read" value={following?.bytes_read ? size(following.bytes_read.p50) : "–"} more={following?.bytes_read ? `p99 ${size(following.bytes_read.p99)}` : ""} />
        <Figure name="Files checked" value={following?.files_checked ? whole(following.files_checked.p50) : "–"} more={following?.files_checked ? `p99 ${whole(following.files_checked.p99)}` : ""} />
        <Figure name="Store" value={size(status.store.size_bytes + status.store.log_bytes)} more="" />
        <Figure name="Lines not readable" value={tracked ? whole(tracked.malformed_lines) : "–"} more={tracked && tracked.missing ? `${many(tracked.missing, "file")} gone` : ""} />
      </dl>
      {status.looks.length > 0 && (
        <details>
          <summary>Latest looks at the logs</summary>
          <table>
            <thead><tr><th scope="col">At</th><th scope="col" class="number">Files read</th><th scope="col" class="number">Bytes</th><th scope="col" class="number">New</th><th scope="col" class="number">Took</th></tr></thead>
            <tbody>
              {status.looks.map((look) => (
                <tr key={look.at}>
                  <td>{clock(look.at)}</td>
                  <td class="number">{whole(look.files_read)} <span class="muted">/ {whole(look.files_checked)}</span></td>
                  <td class="number">{size(look.bytes_read)}</td>
                  <td class="number">{whole(look.replies_new)}{changed(look) > 0 && <span class="muted"> +{whole(changed(look))} changed</span>}</td>
                  <td class="number">{took(look.took_ms)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
      {status.problems.length > 0 && (
        <div class="banner" style={{ marginTop: "12px" }}>
          <strong>Could not be read</strong>
          <ul>{status.problems.map(({ where, why }) => <li key={where}>{safe(where)}: {safe(why)}</li>)}</ul>
        </div>
      )}
    </>
  );
}

function Figure({ name, value, more }: { name: string; value: string; more: string }) {
  return <div><dt>{name}</dt><dd>{value} <small>{more}</small></dd></div>;
}

function changed(look: Look): number {
  return look.replies_grown + look.replies_corrected + look.replies_gone;
}
