"use strict";
// Draw the phones from the state, which is fetched twice a second, and post the texts that are typed.
// Texts and names come from people, so they enter the page only through textContent.

const EVERY = 500; // milliseconds
const { stateUrl, textsUrl } = document.body.dataset;
const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const at = (id) => document.getElementById(id);

class Phone {
  constructor() {
    this.place = at("phone").content.firstElementChild.cloneNode(true);
    this.find = (selector) => this.place.querySelector(selector);
    this.log = this.find(".log");
    this.input = this.find("input");
    this.id = null;
    this.find("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.find("select").addEventListener("change", (event) => choose(this, Number(event.target.value)));
    at("phones").append(this.place);
  }

  show(phone) {
    if (phone.id !== this.id) this.takeUp(phone);
    const known = this.threads;
    this.threads = phone.threads;
    if (!this.active && phone.threads.length) {
      this.active = phone.threads.reduce((a, b) => (lastId(a) > lastId(b) ? a : b)).number;
    }
    for (const thread of phone.threads) {
      const before = known.find((other) => other.number === thread.number);
      if (thread.number !== this.active && known.length && lastId(thread) > (before ? lastId(before) : 0)) {
        this.unread.add(thread.number);
      }
    }
    this.draw();
  }

  // Show another person's phone in this place.
  takeUp(phone) {
    this.id = phone.id;
    this.threads = [];
    this.active = null;
    this.unread = new Set();
    this.drafts = new Map();
    this.forget(null);
    this.input.value = "";
    this.complain("");
    this.find(".phone").setAttribute("aria-label", `${phone.name}’s phone`);
    this.find(".name").textContent = phone.name;
    this.find(".avatar").textContent = [...phone.name][0].toUpperCase();
    this.find(".own .number").textContent = phone.number;
  }

  draw() {
    this.drawTabs();
    const thread = this.threads.find((one) => one.number === this.active);
    this.input.disabled = this.find("form button").disabled = !thread;
    this.find(".badge").hidden = !thread;
    if (!thread) return;
    if (this.drawn.number !== thread.number) {
      this.forget(thread.number);
      this.log.setAttribute("aria-label", `Thread with ${thread.shown}`);
      this.input.setAttribute("aria-label", `Text to ${thread.shown}`);
      this.find(".peer .number").textContent = thread.shown;
    }
    const fresh = thread.texts.filter((text) => text.id > this.drawn.last);
    if (!fresh.length) return;
    for (const text of fresh) {
      const time = clock.format(new Date(text.at));
      this.log.append(bubble(text, time === this.drawn.time ? "" : time));
      this.drawn.time = time;
    }
    this.drawn.last = lastId(thread);
    this.log.scrollTop = this.log.scrollHeight;
  }

  // Clear the log for this thread.
  forget(number) {
    this.drawn = { number, last: 0, time: "" };
    this.log.replaceChildren();
  }

  drawTabs() {
    const tabs = this.find(".threads");
    tabs.hidden = this.threads.length < 2;
    const wanted = JSON.stringify([this.threads.map((thread) => thread.number), this.active, [...this.unread]]);
    if (tabs.dataset.drawn === wanted) return; // A needless redraw would take the focus away.
    tabs.dataset.drawn = wanted;
    tabs.replaceChildren(
      ...this.threads.map((thread) => {
        const tab = document.createElement("button");
        tab.type = "button";
        tab.textContent = thread.shown;
        tab.setAttribute("aria-pressed", thread.number === this.active);
        if (this.unread.has(thread.number)) {
          tab.className = "unread";
          tab.setAttribute("aria-label", `${thread.shown}, unread`);
        }
        tab.addEventListener("click", () => this.open(thread.number));
        return tab;
      })
    );
  }

  open(number) {
    this.drafts.set(this.active, this.input.value);
    this.input.value = this.drafts.get(number) || "";
    this.active = number;
    this.unread.delete(number);
    this.complain("");
    this.draw();
    this.input.focus();
  }

  async send() {
    const [handset, number, text] = [this.id, this.active, this.input.value];
    if (this.isSending || !text.trim()) return;
    this.isSending = true;
    this.complain("");
    try {
      const answer = await fetch(textsUrl, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": token },
        body: JSON.stringify({ handset, number, text }),
      });
      if (answer.ok) {
        if (this.id === handset && this.active === number) this.input.value = "";
        await poll();
        setTimeout(poll, 150); // Time for the other phone to get it.
      } else {
        const problem = await answer.json().catch(() => ({}));
        this.complain(problem.detail || `Not sent (${answer.status}). Reload the page and try again.`);
      }
    } catch {
      this.complain("Not sent: the server does not answer.");
    } finally {
      this.isSending = false;
    }
  }

  complain(words) {
    const error = this.find(".error");
    error.textContent = words;
    error.hidden = !words;
  }

  offer(people) {
    this.find(".chooser").hidden = people.length <= places.length;
    const select = this.find("select");
    const wanted = JSON.stringify(people);
    if (select.dataset.drawn !== wanted) {
      select.dataset.drawn = wanted;
      select.replaceChildren(...people.map((person) => new Option(person.name, person.id)));
    }
    select.value = this.id;
  }
}

const places = [];

function lastId(thread) {
  return thread.texts[thread.texts.length - 1].id;
}

// Return a line of the log. time: the time to show, "" if the line before shows the same.
function bubble(text, time) {
  const line = document.createElement("li");
  line.className = text.typed ? "typed" : "arrived";
  const words = document.createElement("span");
  words.className = "bubble";
  words.dir = "auto";
  words.textContent = text.text;
  line.append(words);
  if (time) {
    const when = document.createElement("time");
    when.dateTime = text.at;
    when.textContent = time;
    line.prepend(when);
  }
  return line;
}

function choose(place, id) {
  const ids = places.map((other) => (other === place ? id : other.id));
  // If the other place shows this phone, the two places swap phones.
  chosen = ids[0] === ids[1] ? places.map((other) => other.id).reverse() : ids;
  poll();
}

let chosen = [];
let asked = 0;

async function poll() {
  const turn = ++asked;
  try {
    const answer = await fetch(`${stateUrl}?phones=${chosen.join()}`);
    if (!answer.ok) throw new Error(answer.status);
    const state = await answer.json();
    if (turn === asked) draw(state); // Otherwise a later request was sent, and this answer is out of date.
    trouble("");
  } catch {
    trouble("The server does not answer. The phones continue when it is back.");
  }
}

function draw({ people, phones }) {
  at("nothing").hidden = phones.length > 0;
  while (places.length < phones.length) places.push(new Phone());
  phones.forEach((phone, index) => places[index].show(phone));
  places.forEach((place) => place.offer(people));
}

function trouble(words) {
  at("trouble").textContent = words;
  at("trouble").hidden = !words;
}

async function live() {
  if (!document.hidden) await poll();
  setTimeout(live, EVERY);
}

live();
