// What each project cost, as an area. A click chooses the project.

import { useState } from "preact/hooks";
import type { Asked } from "./asking";
import { base, Chart, tip } from "./chart";
import type { ProjectRow, Report } from "./contract";
import { colour, inkOn } from "./looks";
import { Answer, Panel } from "./panel";
import { place, toggle } from "./place";
import { dollars, many, safe, short } from "./words";

export function Projects({ asked }: { asked: Asked<Report<ProjectRow>> }) {
  const [table, setTable] = useState(false);
  return (
    <Panel
      title="Projects"
      name="projects"
      size="w4"
      aside={asked.data && many(asked.data.rows.length, "project")}
      tools={<button type="button" class="button" aria-pressed={table} onClick={() => setTable(!table)}>Table</button>}
    >
      <Answer of={asked}>
        {({ rows }) => (rows.length === 0 ? <p class="empty">No project was used in these days.</p> : table || rows.every((row) => !row.cost_usd) ? <Rows rows={rows} /> : <Areas rows={rows} />)}
      </Answer>
    </Panel>
  );
}

const HUES = ["--c0", "--c2", "--c4", "--c1", "--c3", "--c5", "--c6", "--c7"];

function Areas({ rows }: { rows: readonly ProjectRow[] }) {
  const ranked = [...rows].sort((a, b) => (b.cost_usd ?? 0) - (a.cost_usd ?? 0));
  const draw = () => ({
    ...base(),
    tooltip: {
      ...(base()["tooltip"] as object),
      trigger: "item",
      formatter: ({ dataIndex, data }: { dataIndex: number; data?: { row?: ProjectRow } }) => {
        const row = data?.row;
        return row ? tip(safe(row.project_name), [["", "cost", dollars(row)], ["", "tokens", short(row.total_tokens)], ["", "replies", short(row.replies)]]) : String(dataIndex);
      },
    },
    series: [{
      type: "treemap",
      left: 0, top: 0, right: 0, bottom: 0,
      roam: false,
      nodeClick: false,
      breadcrumb: { show: false },
      itemStyle: { borderColor: colour("--panel"), borderWidth: 1.5, gapWidth: 1.5, borderRadius: 4 },
      label: { fontSize: 12, padding: [6, 7], position: "insideTopLeft", overflow: "truncate", lineHeight: 16 },
      emphasis: { itemStyle: { borderColor: colour("--strong") } },
      data: ranked.map((row, index) => {
        const paint = colour(HUES[index % HUES.length] ?? "--c7");
        const isAside = Boolean(place.value.project) && place.value.project !== row.project;
        return {
          name: safe(row.project_name),
          value: row.cost_usd ?? 0,
          row,
          itemStyle: { color: paint, opacity: isAside ? 0.35 : 1 },
          label: { color: inkOn(paint), formatter: () => `${safe(row.project_name)}\n${dollars(row)}` },
        };
      }),
    }],
  });
  return (
    <Chart
      label={`Cost of ${rows.length} projects, the costliest: ${ranked.slice(0, 3).map((row) => `${safe(row.project_name)} ${dollars(row)}`).join(", ")}. The button "Table" shows all.`}
      draw={draw}
      ready={(made) => made.on("click", (event) => {
        const { row } = (event.data ?? {}) as { row?: ProjectRow };
        if (row) toggle("project", row.project);
      })}
    />
  );
}

function Rows({ rows }: { rows: readonly ProjectRow[] }) {
  const ranked = [...rows].sort((a, b) => (b.cost_usd ?? -1) - (a.cost_usd ?? -1));
  const most = Math.max(...ranked.map((row) => row.cost_usd ?? 0), 1e-9);
  return (
    <div class="scroll" style={{ maxHeight: "278px" }} tabIndex={0} role="region" aria-label="Projects as a table">
      <table>
        <thead><tr><th scope="col">Project</th><th scope="col" class="bar-cell"><span class="unseen">Share</span></th><th scope="col" class="number">Tokens</th><th scope="col" class="number">Cost</th></tr></thead>
        <tbody>
          {ranked.map((row) => (
            <tr key={row.project} class={place.value.project === row.project ? "chosen" : undefined}>
              <td class="name-cell cut"><button type="button" class="link cut" onClick={() => toggle("project", row.project)} title={safe(row.folder ?? row.project)}>{safe(row.project_name)}</button></td>
              <td class="bar-cell"><span class="bar" style={{ width: `${((row.cost_usd ?? 0) / most) * 100}%` }} /></td>
              <td class="number">{short(row.total_tokens)}</td>
              <td class="number money">{dollars(row)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
