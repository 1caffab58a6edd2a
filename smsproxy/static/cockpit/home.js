"use strict";
// Fetch the figures again every 30 seconds. The focus and open tables stay. A hidden page does not ask.

const EVERY = 30000;
const main = document.querySelector(".dashboard-main");
const notice = document.getElementById("refresh");
let timer = null;
let last = Date.now();

// The labels of the charts, in the viewer's zone as all other times.
function localHours(root) {
  const format = new Intl.DateTimeFormat("sv-SE", { hour: "2-digit", minute: "2-digit" });
  for (const label of root.querySelectorAll("text[data-at]")) {
    label.textContent = format.format(new Date(label.dataset.at));
  }
  for (const zone of root.querySelectorAll("[data-zone]")) zone.hidden = true;
}

function show(html) {
  const open = [...main.querySelectorAll("details[open]")].map((each) => each.id);
  const focused = main.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = [...main.querySelectorAll(".table-box")].map((each) => [each.scrollLeft, each.scrollTop]);
  // Parsed as a document of its own: no script of it runs.
  const fresh = new DOMParser().parseFromString(html, "text/html");
  main.replaceChildren(...fresh.body.children);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  main.querySelectorAll(".table-box").forEach((each, place) => {
    if (scrolled[place]) [each.scrollLeft, each.scrollTop] = scrolled[place];
  });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  localTimes(main);
  localHours(main);
}

async function refresh() {
  timer = null;
  if (document.hidden) return;
  try {
    // The header says that no person asked, so that it need not keep a session alive.
    const answer = await fetch(main.dataset.url, { headers: { "X-Refresh": "1" }, credentials: "same-origin" });
    if (answer.redirected || answer.status === 403) {
      notice.textContent = notice.dataset.ended;
      return;
    }
    if (!answer.ok) throw new Error(answer.status);
    show(await answer.text());
    notice.textContent = "";
    last = Date.now();
  } catch {
    notice.textContent = notice.dataset.failed;
  }
  plan(EVERY);
}

function plan(pause) {
  if (timer === null && !document.hidden) timer = setTimeout(refresh, pause);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    timer = null;
  } else {
    plan(Math.max(0, EVERY - (Date.now() - last)));
  }
});

localHours(document);
plan(EVERY);
