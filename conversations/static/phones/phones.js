"use strict";
// The page: it asks for the state, draws it, and keeps the choice of phones and conversation in the address.

const EVERY = 500; // milliseconds between two polls
const LONGEST = 8000; // milliseconds between two polls while the server does not answer
const WHOLE = 10; // every so often a poll asks for the whole state, whether or not it seems unchanged
const narrow = matchMedia("(max-width: 60rem)");
const places = new Map();
const address = new URLSearchParams(location.search);
let chosen = { phones: (address.get("phones") || "").split(",").filter(Boolean), conversation: address.get("conversation") || "" };
let lastState = null;
let version = "";
let polls = 0;
let wait = EVERY;
let timer = null;

// Show other phones or another conversation. phones: [] for those of the conversation.
function choose(changes) {
  chosen = { ...chosen, ...changes };
  version = "";
  poll();
}

async function poll() {
  clearTimeout(timer);
  const turn = ++polls;
  const since = turn % WHOLE ? version : "";
  const query = new URLSearchParams({ phones: chosen.phones.join(), conversation: chosen.conversation, since });
  try {
    const answer = await fetch(`${urls.stateUrl}?${query}`);
    if (!answer.ok) throw new Error(answer.status);
    const state = answer.status === 204 ? null : await answer.json();
    if (turn !== polls) return; // A later request was sent, and this answer is out of date.
    if (state) {
      version = state.version;
      draw(state);
    }
    wait = EVERY;
    trouble("");
  } catch (error) {
    if (turn !== polls) return;
    wait = Math.min(wait * 2, LONGEST);
    trouble(words.away);
  }
  later(wait);
}

function later(milliseconds) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(poll, milliseconds);
}

// Poll now, and once more when the other phones have had the time to get it.
function pollSoon() {
  poll().then(() => later(150));
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : poll()));

function draw(state) {
  lastState = state;
  at("nothing").hidden = state.phones.length > 0;
  at("network").hidden = !state.phones.length;
  for (const phone of state.phones) {
    if (!places.has(phone.id)) places.set(phone.id, new Phone(phone.id));
  }
  arrange(state.phones.map((phone) => places.get(phone.id).place));
  state.phones.forEach((phone) => places.get(phone.id).show(phone));
  drawControls(state);
  drawTrips(state.trips, state.phones.map((phone) => phone.id));
  remember(state);
}

// The network stands between two phones, after a row of three or four, and in the middle of five or six.
function arrange(phones) {
  const stage = at("phones");
  const before = narrow.matches || phones.length < 3 ? 1 : phones.length < 5 ? phones.length : 3;
  const wanted = [...phones.slice(0, before), at("network"), ...phones.slice(before)];
  const isSame = wanted.length === stage.children.length && wanted.every((each, index) => stage.children[index] === each);
  if (isSame) return;
  const focused = document.activeElement;
  stage.className = `stage of-${phones.length}`;
  setChildren(stage, wanted);
  if (stage.contains(focused)) focused.focus();
}

function remember(state) {
  chosen = { phones: state.phones.map((phone) => phone.id), conversation: state.conversation?.id || "" };
  const query = new URLSearchParams();
  if (chosen.phones.length) query.set("phones", chosen.phones.join());
  if (chosen.conversation) query.set("conversation", chosen.conversation);
  const wanted = decodeURIComponent(`${location.pathname}?${query}`);
  if (wanted !== location.pathname + location.search && state.phones.length) history.replaceState(null, "", wanted);
}

function trouble(why) {
  setText(at("trouble"), why);
  at("trouble").hidden = !why;
}

function fold() {
  at("fold").open = !narrow.matches;
  if (lastState) draw(lastState);
}

narrow.addEventListener("change", fold);
fold();
poll();
