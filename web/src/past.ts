// The only place that goes back in time through the replies, page by page.

import { computed, signal } from "@preact/signals";
import { address, ask } from "./asking";
import type { FeedLine, Replies } from "./contract";
import { whose } from "./place";

const PAGE = 200;
const cursor = signal<string | null>(null);

export const hasOlder = computed(() => cursor.value !== null);

/** The newest replies of what is chosen. */
export async function newest(): Promise<readonly FeedLine[]> {
  const page = await ask<Replies>(address("replies", { limit: PAGE, ...whose.peek() }));
  cursor.value = page.next;
  return page.replies;
}

/** Those before the last that were asked for. */
export async function older(): Promise<readonly FeedLine[]> {
  const from = cursor.peek();
  if (from === null) return [];
  const page = await ask<Replies>(address("replies", { limit: PAGE, cursor: from, ...whose.peek() }));
  cursor.value = page.next;
  return page.replies;
}
