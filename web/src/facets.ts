// The only place that knows what can be chosen: all projects, models, machines and people that were ever counted, the most used first.

import { computed, signal } from "@preact/signals";
import { address, ask } from "./asking";
import type { HostRow, ModelCounts, ProjectRow, Report, UserRow } from "./contract";
import { paint } from "./looks";

type List = readonly (readonly [string, string])[];

interface Facets {
  readonly projects: List;
  readonly models: List;
  readonly hosts: List;
  readonly users: List;
}

export const facets = signal<Facets>({ projects: [], models: [], hosts: [], users: [] });
/** Do other machines send to this one? */
export const hasOthers = computed(() => [...facets.value.hosts, ...facets.value.users].some(([name]) => name !== THIS));

const THIS = "this";
const names = signal<ReadonlyMap<string, string>>(new Map());

export async function loadFacets(): Promise<void> {
  const [projects, models, hosts, users] = await Promise.all([
    ask<Report<ProjectRow>>(address("reports/projects", { order: "cost" })),
    ask<Report<ModelCounts>>(address("reports/models", { order: "cost" })),
    ask<Report<HostRow>>(address("reports/hosts", { order: "cost" })),
    ask<Report<UserRow>>(address("reports/users", { order: "cost" })),
  ]);
  paint(models.rows.map(({ model }) => model)); // the costliest get the first colours, on every page that is opened
  names.value = new Map(projects.rows.map((row) => [row.project, row.project_name]));
  facets.value = {
    projects: projects.rows.map((row) => [row.project, row.project_name] as const),
    models: models.rows.map(({ model }) => [model, model] as const),
    hosts: hosts.rows.map(({ host }) => [machine(host), machineName(host)] as const),
    users: users.rows.map(({ user }) => [machine(user), machineName(user)] as const),
  };
}

/** A project's name as tables show it; its slug while that is not known. */
export function projectName(slug: string): string {
  return names.value.get(slug) ?? slug;
}

/** How a host or a user is asked for: the server itself has no name. */
export function machine(name: string | null): string {
  return name || THIS;
}

/** A host or a user, for people. */
export function machineName(name: string): string {
  return name || "(this machine)";
}
