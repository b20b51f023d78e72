// The live connection. The browser connects again by itself and says where it was; only when it gives up (a refusal,
// some proxies) is a new stream made here.
//
//   connecting ──open──► live ──error──► lost ──open──► live
//                                          └─ given up by the browser ─► a new stream after CONNECT_AGAIN_MS

import { CONNECT_AGAIN_MS } from "./limits.js";

const EVENTS = ["hello", "faults", "cleared", "skipped", "message", "counts"];

/** Calls `handlers[event](data)` for each event, and `handlers.state(name)` when the connection changes. */
export function watch(handlers) {
  let lastId = "";

  const connect = () => {
    const source = new EventSource(`v1/events${lastId && `?after=${encodeURIComponent(lastId)}`}`);
    source.addEventListener("open", () => handlers.state("live"));
    source.addEventListener("error", () => {
      handlers.state("lost");
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(connect, CONNECT_AGAIN_MS);
    });
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        lastId = event.lastEventId || lastId;
        handlers[name](JSON.parse(event.data));
      });
    }
  };

  handlers.state("connecting");
  connect();
}
