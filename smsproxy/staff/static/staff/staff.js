"use strict";
// Rewrite the times of the page in the viewer's zone, with UTC as the title of each. Ask the reason of an action of a
// list. Send each form once.

const OPTIONS = {
  seconds: { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" },
  day: { year: "numeric", month: "2-digit", day: "2-digit" },
  both: { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" },
  datetime: { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", timeZoneName: "short" },
};

function localTimes(root) {
  // Swedish writes dates as ISO 8601 does.
  for (const time of root.querySelectorAll("time[data-form]")) {
    const format = new Intl.DateTimeFormat("sv-SE", OPTIONS[time.dataset.form] || OPTIONS.datetime);
    time.textContent = format.format(new Date(time.dateTime));
  }
}

// Django writes the times of its lists and records as text.
function markTimes(root) {
  for (const cell of root.querySelectorAll("#result_list td, #result_list th a, .readonly, .inline-group td p")) {
    const found = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC$/.exec(cell.textContent.trim());
    if (!found || cell.children.length) continue;
    const time = document.createElement("time");
    time.dateTime = `${found[1]}T${found[2]}Z`;
    time.title = found[0];
    time.dataset.form = "datetime";
    cell.replaceChildren(time);
  }
}

// Django labels the two fields of a moment together, and lets a wide table scroll that the keyboard cannot reach.
function help(root) {
  for (const field of root.querySelectorAll("p.datetime input:not([type=hidden])")) {
    field.setAttribute("aria-label", (field.previousSibling?.textContent || "").trim() || field.name);
  }
  for (const box of root.querySelectorAll(".inline-group")) box.tabIndex = 0;
}

// A double click would do an act twice. A page that comes back from the browser's memory can be sent again.
function sendOnce(root) {
  root.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.isSent) event.preventDefault();
    form.dataset.isSent = "yes";
  });
  window.addEventListener("pageshow", () => {
    for (const form of root.forms) delete form.dataset.isSent;
  });
}

// Every action of a list needs a reason. Without one, the answer would forget the chosen action and the ticked rows.
function askReason(root) {
  const reason = root.querySelector("#changelist-form input[name=reason]");
  if (!reason) return;
  reason.required = true;
  reason.form.noValidate = false;
}

askReason(document);
sendOnce(document);
markTimes(document);
help(document);
localTimes(document);
