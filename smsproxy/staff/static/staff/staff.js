"use strict";
// Rewrite the times of the page in the viewer's zone. UTC stays as the title of each.

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

localTimes(document);
