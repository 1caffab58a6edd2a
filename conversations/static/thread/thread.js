"use strict";
// The days of the thread in the viewer's zone: the server begins them in UTC.

for (const thread of document.querySelectorAll("ol.thread")) {
  const heading = thread.querySelector("li.day");
  const format = new Intl.DateTimeFormat("sv-SE", { year: "numeric", month: "2-digit", day: "2-digit" });
  let day = "";
  if (heading) {
    for (const old of thread.querySelectorAll("li.day")) old.remove();
    for (const entry of thread.querySelectorAll("li.entry")) {
      const time = entry.querySelector("time");
      const its = format.format(new Date(time.dateTime));
      if (its !== day) {
        const begin = heading.cloneNode(true);
        const shown = begin.querySelector("time");
        shown.dateTime = time.dateTime;
        shown.title = time.title;
        shown.textContent = its;
        entry.before(begin);
        day = its;
      }
    }
  }
}
