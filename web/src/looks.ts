// The only place that knows dark and light: what the reader chose, what the system prefers, and the colours for what is drawn.

import { signal } from "@preact/signals";

type Ground = "dark" | "light";
interface Looks {
  readonly ground: Ground;
  readonly contrast: boolean;
}

const prefersLight = matchMedia("(prefers-color-scheme: light)");
const prefersContrast = matchMedia("(prefers-contrast: more)");

function remembered(name: "ground" | "contrast"): string | null {
  try {
    return localStorage.getItem(`tokentail-${name}`);
  } catch {
    return null; // a browser may forbid it
  }
}

function remember(name: "ground" | "contrast", value: string): void {
  try {
    localStorage.setItem(`tokentail-${name}`, value);
  } catch {
    // Then it holds until the page is closed.
  }
}

let chosenGround = remembered("ground");
let chosenContrast = remembered("contrast");

function wanted(): Looks {
  const ground = chosenGround === "dark" || chosenGround === "light" ? chosenGround : prefersLight.matches ? "light" : "dark";
  return { ground, contrast: chosenContrast ? chosenContrast === "more" : prefersContrast.matches };
}

export const looks = signal<Looks>(wanted());

function wear(): void {
  const now = wanted();
  document.documentElement.dataset["ground"] = now.ground;
  document.documentElement.dataset["contrast"] = now.contrast ? "more" : "usual";
  looks.value = now;
}

wear();
prefersLight.addEventListener("change", wear);
prefersContrast.addEventListener("change", wear);

export function otherGround(): void {
  chosenGround = looks.peek().ground === "dark" ? "light" : "dark";
  remember("ground", chosenGround);
  wear();
}

export function otherContrast(): void {
  chosenContrast = looks.peek().contrast ? "usual" : "more";
  remember("contrast", chosenContrast);
  wear();
}

export const KINDS = [
  ["cache_read_tokens", "cache read", "--read"],
  ["cache_write_tokens", "cache write", "--write"],
  ["input_tokens", "input", "--input"],
  ["output_tokens", "output", "--output"],
] as const;

/** A colour of the theme that is worn. Whoever draws with it reads `looks`, and draws again when that changes. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const HUES = 7; // the eighth is for what is left over
const hues = signal<ReadonlyMap<string, number>>(new Map());

/** Give colours to models, in this order; one that has a colour keeps it. */
export function paint(models: readonly string[]): void {
  const now = new Map(hues.peek());
  for (const model of models) if (!now.has(model)) now.set(model, now.size);
  hues.value = now;
}

/** The same colour for the same model wherever it is shown; grey while it has none. */
export function hue(model: string): string {
  return `--c${Math.min(hues.value.get(model) ?? HUES, HUES)}`;
}

/** Black or white, whichever is easier to read on it. */
export function inkOn(paint: string): string {
  const parts = [1, 3, 5].map((at) => Number.parseInt(paint.slice(at, at + 2), 16) / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * (parts[0] ?? 0) + 0.7152 * (parts[1] ?? 0) + 0.0722 * (parts[2] ?? 0);
  return light > 0.179 ? "#0b0d10" : "#ffffff";
}
