"use strict";
// Show the lists whose name or description holds what is typed. Without this script all are shown.

const box = document.querySelector(".technical .find");
const field = document.getElementById("find-list");
const nothing = document.getElementById("nothing-found");

function narrow() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const group of document.querySelectorAll(".list-group")) {
    const isGroup = words.every((word) => group.querySelector("h2").textContent.toLowerCase().includes(word));
    let shown = 0;
    for (const item of group.querySelectorAll("li")) {
      const text = item.textContent.toLowerCase();
      item.hidden = !isGroup && !words.every((word) => text.includes(word));
      shown += item.hidden ? 0 : 1;
    }
    group.hidden = !shown;
    count += shown;
  }
  nothing.hidden = count > 0;
}

box.hidden = false;
field.addEventListener("input", narrow);
narrow();
