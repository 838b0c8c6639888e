// A bar that says how much of something is used, and where that leads.

interface Props {
  readonly label: string;
  /** Parts of the whole; more than 1 is full. */
  readonly part: number;
  readonly ahead?: number | null;
  readonly level?: "usual" | "warning" | "error";
}

export function Meter({ label, part, ahead, level = "usual" }: Props) {
  const [now, then] = [Math.min(Math.max(part, 0), 1), Math.min(Math.max(ahead ?? 0, 0), 1)];
  return (
    <div class="meter" data-level={level} role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(now * 100)}>
      <i style={{ width: `${now * 100}%` }} />
      {then > now && <i class="ahead" style={{ left: `${now * 100}%`, width: `${(then - now) * 100}%` }} />}
    </div>
  );
}

export function level(part: number): "usual" | "warning" | "error" {
  return part >= 1 ? "error" : part >= 0.8 ? "warning" : "usual";
}
