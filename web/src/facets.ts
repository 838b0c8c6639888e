// The only place that knows what can be chosen: all projects and models that were ever counted, the most used first.

import { signal } from "@preact/signals";
import { address, ask } from "./asking";
import type { ModelCounts, ProjectRow, Report } from "./contract";
import { paint } from "./looks";

interface Facets {
  readonly projects: readonly (readonly [string, string])[];
  readonly models: readonly (readonly [string, string])[];
}

export const facets = signal<Facets>({ projects: [], models: [] });
const names = signal<ReadonlyMap<string, string>>(new Map());

export async function loadFacets(): Promise<void> {
  const [projects, models] = await Promise.all([
    ask<Report<ProjectRow>>(address("reports/projects", { order: "cost" })),
    ask<Report<ModelCounts>>(address("reports/models", { order: "cost" })),
  ]);
  paint(models.rows.map(({ model }) => model)); // the costliest get the first colours, on every page that is opened
  names.value = new Map(projects.rows.map((row) => [row.project, row.project_name]));
  facets.value = {
    projects: projects.rows.map((row) => [row.project, row.project_name] as const),
    models: models.rows.map(({ model }) => [model, model] as const),
  };
}

/** A project's name as tables show it; its slug while that is not known. */
export function projectName(slug: string): string {
  return names.value.get(slug) ?? slug;
}
