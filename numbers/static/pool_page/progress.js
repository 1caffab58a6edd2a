"use strict";
// Refresh the progress of an order until it has ended. The keyboard's focus stays where it is.

const EVERY = 2000; // milliseconds

async function refresh() {
  const old = document.getElementById("progress");
  if (!("live" in old.dataset)) return;
  try {
    const answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("progress");
      if (!fresh) return; // Signed out: the page stays as it is.
      if (fresh.innerHTML !== shown || !("live" in fresh.dataset)) {
        shown = fresh.innerHTML;
        const focused = document.activeElement && document.activeElement.id;
        localTimes(fresh);
        old.replaceWith(fresh);
        if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
      }
    }
  } catch {
    // No network for a moment. The next attempt follows.
  }
  setTimeout(refresh, EVERY);
}

let shown = "";
setTimeout(refresh, EVERY);
