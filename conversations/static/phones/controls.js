"use strict";
// The controls: choose, end, reopen and begin a conversation, choose the phones, and make the network fail.

let shownConversation = null;

function drawControls(state) {
  shownConversation = state.conversation;
  at("controls").hidden = !state.people.length;
  drawConversations(state);
  drawChosen(state);
  for (const button of document.querySelectorAll("[data-fault]")) {
    const count = state.faults[button.dataset.fault];
    const left = button.querySelector(".left");
    setText(left, count ? inWords(words.left, { count: String(count) }) : "");
    left.hidden = !count;
    button.classList.toggle("armed", count > 0);
  }
  const waiting = Object.values(state.faults).reduce((sum, count) => sum + count, state.other_faults);
  setText(at("waiting"), waiting ? inWords(words.left, { count: String(waiting) }) : "");
  at("waiting").hidden = at("repair").hidden = !waiting;
}

function drawConversations(state) {
  const select = at("conversation");
  const wanted = JSON.stringify(state.conversations);
  if (select.dataset.drawn !== wanted) {
    select.dataset.drawn = wanted;
    select.replaceChildren(
      ...state.conversations.map((each) => new Option(inWords(words.named, { name: each.name, state: each.words }), each.id))
    );
  }
  const shown = state.conversation;
  if (shown && document.activeElement !== select) select.value = shown.id;
  select.parentElement.hidden = !shown;
  at("end").hidden = !shown?.is_open;
  at("reopen").hidden = !shown || shown.is_open;
  at("staff").hidden = at("staff-hint").hidden = !shown;
  if (shown && at("staff").getAttribute("href") !== shown.staff_url) at("staff").setAttribute("href", shown.staff_url);
}

// The phones that can be chosen, if there are more than two.
function drawChosen(state) {
  const row = at("chosen");
  row.hidden = state.people.length < 3;
  const ids = state.phones.map((phone) => phone.id);
  const wanted = JSON.stringify([state.people, ids]);
  if (row.dataset.drawn === wanted) return;
  const focused = row.contains(document.activeElement) ? document.activeElement.dataset.person : null;
  row.dataset.drawn = wanted;
  const buttons = state.people.map((person) => {
    const isShown = ids.includes(person.id);
    const button = element("button", "chip", person.name);
    button.type = "button";
    button.dataset.person = person.id;
    button.setAttribute("aria-pressed", isShown);
    button.addEventListener("click", () => {
      const others = ids.filter((id) => id !== person.id);
      if (isShown ? others.length : ids.length < Number(urls.most)) {
        choose({ phones: isShown ? others : [...ids, person.id] });
      }
    });
    return button;
  });
  row.replaceChildren(row.firstElementChild, ...buttons);
  if (focused) buttons.find((button) => button.dataset.person === focused)?.focus();
}

// Do something on the server, then draw what became of it. A refusal is shown in words.
async function act(url, body) {
  refuse("");
  try {
    await post(url, body);
  } catch (error) {
    refuse(error instanceof Refused ? error.message : words.away);
  }
  pollSoon();
}

function refuse(why) {
  setText(at("refusal"), why);
  at("refusal").hidden = !why;
}

at("conversation").addEventListener("change", (event) => choose({ conversation: event.target.value, phones: [] }));
at("end").addEventListener("click", () => act(shownConversation.end_url));
at("reopen").addEventListener("click", () => act(shownConversation.reopen_url));
at("stray").addEventListener("click", () => act(urls.strayUrl, { handset: lastState.phones[0].id }));
at("repair").addEventListener("click", () => act(urls.clearUrl));
for (const button of document.querySelectorAll("[data-fault]")) {
  button.addEventListener("click", () => act(urls.faultsUrl, { kind: button.dataset.fault }));
}

// A new conversation ----------------------------------------------------------------------------------------------

at("new").addEventListener("click", () => {
  const people = lastState.people.map((person) => candidate(person.name, person.id, isOnShow(person.id)));
  at("candidates").replaceChildren(at("candidates").firstElementChild, ...people);
  at("newcomer").value = "";
  complainOfCreation("");
  at("creation").showModal();
});

function isOnShow(id) {
  return lastState.phones.some((phone) => phone.id === id);
}

// Return a box to tick. id: "" for somebody new.
function candidate(name, id, isChecked) {
  const label = element("label", "candidate");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = isChecked;
  box.dataset.handset = id;
  box.dataset.name = name;
  label.append(box, " ", name);
  return label;
}

function addNewcomer() {
  const name = at("newcomer").value.trim();
  if (!name) return;
  at("candidates").append(candidate(name, "", true));
  at("newcomer").value = "";
  at("newcomer").focus();
}

at("add").addEventListener("click", addNewcomer);
at("newcomer").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  addNewcomer();
});
at("cancel").addEventListener("click", () => at("creation").close());

at("creation").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  addNewcomer();
  const boxes = [...at("candidates").querySelectorAll("input:checked")];
  if (boxes.length < 2) return complainOfCreation(words.tooFew);
  if (boxes.length > Number(urls.most)) return complainOfCreation(inWords(words.tooMany, { most: urls.most }));
  const people = boxes.map((box) => ({
    handset: box.dataset.handset ? Number(box.dataset.handset) : null,
    label: box.dataset.handset ? "" : box.dataset.name,
  }));
  try {
    const { id, phones } = await post(urls.createUrl, { people });
    at("creation").close();
    choose({ conversation: id, phones });
  } catch (error) {
    complainOfCreation(error instanceof Refused ? error.message : words.away);
  }
});

function complainOfCreation(why) {
  setText(at("creation-error"), why);
  at("creation-error").hidden = !why;
}
