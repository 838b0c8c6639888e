// The page: what stands where, and which question each part asks.

import { useEffect, useState } from "preact/hooks";
import { address, exchange, needsToken, useAsked } from "./asking";
import { Calendar } from "./calendar";
import { Cards } from "./cards";
import type { Budgets as BudgetsAnswer, DayRow, HostRow, Limits as LimitsAnswer, Overview, ProjectRow, Report, Status, UserRow } from "./contract";
import { Daily } from "./daily";
import { Drawer, showsContent } from "./drawer";
import { Engine } from "./engine";
import { facets, hasOthers, loadFacets, machine } from "./facets";
import { Feed } from "./feed";
import { Budgets, Limits } from "./limits";
import { listen, news, onReturn, slowNews } from "./live";
import { Machines } from "./machines";
import { Minutes } from "./minutes";
import { newest } from "./past";
import { days, place, whose } from "./place";
import { Projects } from "./projects";
import { add, empty } from "./requests";
import { Sessions } from "./sessions";
import { zone } from "./times";
import { inDays, Top } from "./top";
import { safe } from "./words";

export function App() {
  if (needsToken.value) return <Token />;
  return (
    <>
      <a class="skip" href="#main">To the numbers</a>
      <Top />
      <Main />
      <Drawer />
      <footer>
        <span>Days are those of {safe(zone.value)}; costs are list prices</span>
        <span>≥ is a lower bound, ? has no known price</span>
      </footer>
    </>
  );
}

function Main() {
  // What is seen first is asked first.
  const overview = useAsked<Overview>(address("overview", whose.value), news);
  const isFirst = !overview.data && !overview.error;
  const then = (where: string) => (isFirst ? null : where);
  const limits = useAsked<LimitsAnswer>(then(address("limits")), slowNews);
  const budgets = useAsked<BudgetsAnswer>(then(address("budgets")), slowNews);
  const status = useAsked<Status>(then(address("status")), slowNews);
  const chosen = { ...days.value, ...whose.value };
  const daily = useAsked<Report<DayRow>>(then(address("reports/daily", { ...chosen, breakdown: true })), slowNews);
  const year = useAsked<Report<DayRow>>(then(address("reports/daily", { since: "371d", ...whose.value })), slowNews);
  const projects = useAsked<Report<ProjectRow>>(then(address("reports/projects", chosen)), slowNews);
  const isFleet = hasOthers.value;
  const hosts = useAsked<Report<HostRow>>(isFleet ? then(address("reports/hosts", chosen)) : null, slowNews);
  const users = useAsked<Report<UserRow>>(isFleet ? then(address("reports/users", chosen)) : null, slowNews);

  const told = overview.data?.timezone;
  useEffect(() => {
    if (told) zone.value = told;
    showsContent.value = overview.data?.shows_content ?? false;
  }, [told, overview.data?.shows_content]);
  useEffect(() => {
    listen();
    return onReturn(() => void add(newest).catch(() => undefined));
  }, []);
  const isUnknown = projects.data?.rows.some(({ project }) => !facets.value.projects.some(([slug]) => slug === project));
  const isStranger = hosts.data?.rows.some(({ host }) => !facets.value.hosts.some(([name]) => name === machine(host)));
  const hostsOfOthers = status.data?.counted?.other_hosts;
  useEffect(() => {
    if (!isFirst) void loadFacets().catch(() => undefined);
  }, [isFirst, isUnknown, isStranger, hostsOfOthers]);
  useEffect(() => {
    empty();
    void add(newest).catch(() => undefined);
  }, [whose.value]);

  const nothing = status.data?.counted?.replies === 0;
  return (
    <main id="main" tabIndex={-1}>
      {overview.error && !overview.data && <p class="banner bad" role="alert">The figures cannot be shown: {overview.error.message}. <button type="button" class="button" onClick={overview.again}>Try again</button></p>}
      {(overview.data?.degraded.length ?? 0) > 0 && <div class="banner"><strong>Not as it should be</strong><ul>{overview.data?.degraded.map((each) => <li key={each}>{safe(each)}</li>)}</ul></div>}
      {nothing && <Nothing status={status.data} />}
      <Cards overview={overview.data} />
      <Minutes />
      <div class="w4 stack">
        <Limits asked={limits} />
        <Budgets asked={budgets} />
      </div>
      <Daily asked={daily} />
      <Projects asked={projects} />
      <Calendar asked={year} today={overview.data?.day ?? new Date().toISOString().slice(0, 10)} />
      <Engine asked={status} />
      {isFleet && <Machines hosts={hosts} users={users} />}
      <Sessions isAsked={!isFirst} />
      <Feed />
      <p class="unseen" role="status">{`Shown: ${inDays()}${place.value.project ? `, project ${place.value.project}` : ""}${place.value.model ? `, model ${place.value.model}` : ""}${place.value.host ? `, machine ${place.value.host}` : ""}${place.value.user ? `, person ${place.value.user}` : ""}`}</p>
    </main>
  );
}

function Nothing({ status }: { status: Status | null }) {
  return (
    <div class="banner">
      <strong>Nothing is counted yet.</strong> It was looked in:
      <ul>{status?.folders.map(({ folder, exists, files }) => <li key={folder}><code>{safe(folder)}</code>: {exists ? `${files} log files` : "there is no such folder"}</li>)}</ul>
      <p>As soon as Claude Code writes a log there, it appears on this page. <code>tokentail demo --write DIR</code> makes some up, and <code>tokentail web --source DIR</code> shows them.</p>
    </div>
  );
}

function Token() {
  const [token, setToken] = useState("");
  const [error, setError] = useState("");
  const send = (event: SubmitEvent) => {
    event.preventDefault();
    exchange(token.trim()).then(() => location.reload(), (failed: Error) => setError(failed.message));
  };
  return (
    <main class="alone" id="main">
      <h1 class="brand">tokentail</h1>
      <form onSubmit={send} style={{ marginTop: "14px" }}>
        <label>This server needs a token. It was shown when <code>tokentail web</code> started:<br />
          <input type="password" autocomplete="off" value={token} onInput={(event) => setToken(event.currentTarget.value)} />
        </label>{" "}
        <button class="button">Go on</button>
        {error && <p class="bad" role="alert">{error}</p>}
      </form>
    </main>
  );
}
