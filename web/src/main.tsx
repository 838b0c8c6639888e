// Where the page starts: a token in the address is exchanged for a cookie before anything is asked.

import "./styles.css";
import { render } from "preact";
import { App } from "./app";
import { exchange } from "./asking";

const TOKEN = /^#token=(.+)$/.exec(location.hash)?.[1];

async function start(): Promise<void> {
  if (TOKEN) {
    // Out of the address and the history first: what is seen there can be copied.
    history.replaceState(null, "", location.pathname + location.search);
    await exchange(decodeURIComponent(TOKEN)).catch(() => undefined); // a wrong one is asked for again
  }
  const page = document.getElementById("page");
  if (page) render(<App />, page);
}

void start();
