"use strict";
// Copy and download the recovery codes. Without a script they can be selected and printed.

const codes = [...document.querySelectorAll("#codes code")].map((code) => code.textContent).join("\n") + "\n";
const copy = document.getElementById("copy");
const download = document.getElementById("download");

if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(codes);
    document.getElementById("told").textContent = copy.dataset.done;
  });
}

download.hidden = false;
download.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([codes], { type: "text/plain" }));
  link.download = download.dataset.name;
  link.click();
  URL.revokeObjectURL(link.href);
});
