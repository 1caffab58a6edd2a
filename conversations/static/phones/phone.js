"use strict";
// One phone: its threads, the texts in them with their ticks, and the texts that wait to be sent.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const SIGNS = { sending: "◌", sent: "✓", delivered: "✓✓", failed: "✗", stopped: "⊘" };

class Phone {
  constructor(id) {
    this.id = id;
    this.place = at("phone").content.firstElementChild.cloneNode(true);
    this.find = (selector) => this.place.querySelector(selector);
    this.log = this.find(".log");
    this.list = this.find(".log ol");
    this.input = this.find("input");
    this.threads = [];
    this.active = null;
    this.current = null;
    this.unread = new Set();
    this.drafts = new Map();
    this.lines = new Map();
    this.unsent = new Unsent(id, () => this.draw(), (error) => this.complain(error));
    this.find("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
  }

  show(phone) {
    setText(this.find(".name"), phone.name);
    setText(this.find(".avatar"), [...phone.name][0].toUpperCase());
    setText(this.find(".own .number"), phone.number);
    this.place.setAttribute("aria-label", inWords(words.phoneOf, { person: phone.name }));
    this.find(".threads").setAttribute("aria-label", inWords(words.threadsOf, { person: phone.name }));
    const known = this.threads;
    this.threads = phone.threads;
    if (phone.current && phone.current !== this.current) this.open(phone.current);
    this.current = phone.current;
    if (!this.active && phone.threads.length) {
      this.open(phone.threads.reduce((a, b) => (lastId(a) > lastId(b) ? a : b)).number);
    }
    for (const thread of phone.threads) {
      const before = known.find((other) => other.number === thread.number);
      if (thread.number !== this.active && known.length && lastId(thread) > (before ? lastId(before) : 0)) {
        this.unread.add(thread.number);
      }
    }
    this.draw();
  }

  draw() {
    this.drawTabs();
    const thread = this.threads.find((one) => one.number === this.active);
    this.input.disabled = this.find("form button").disabled = !thread;
    this.find(".badge").hidden = !thread;
    if (!thread) return;
    setText(this.find(".peer .number"), thread.shown);
    this.log.setAttribute("aria-label", inWords(words.threadWith, { number: thread.shown }));
    this.input.setAttribute("aria-label", inWords(words.textTo, { number: thread.shown }));
    this.unsent.forget(new Set(thread.texts.map((text) => text.id)));
    const shown = [...thread.texts, ...this.unsent.on(thread.number)];
    const lines = new Map(shown.map((text) => [text.key || text.id, this.lineOf(text)]));
    const isNew = [...lines.keys()].some((key) => !this.lines.has(key));
    this.lines = lines;
    showTimes(shown, [...lines.values()]);
    setChildren(this.list, [...lines.values()]);
    if (isNew) this.log.scrollTop = this.log.scrollHeight;
  }

  // Return the line of a text, the same one as before if it is on the page.
  lineOf(text) {
    const line = this.lines.get(text.key || text.id) || bubble(text);
    const tick = text.key ? { mark: text.failed ? "failed" : "sending", words: text.failed ? words.notSent : words.sending } : text.tick;
    if (!tick || line.dataset.tick === `${tick.mark} ${tick.words}`) return line;
    line.dataset.tick = `${tick.mark} ${tick.words}`;
    const fate = line.querySelector(".fate");
    fate.className = `fate ${tick.mark}`;
    const sign = element("span", "sign", SIGNS[tick.mark]);
    sign.setAttribute("aria-hidden", "true");
    // Sent and delivered are said by the ticks alone, except to screen readers.
    const isPlain = tick.mark === "sent" || tick.mark === "delivered";
    fate.replaceChildren(sign, element("span", isPlain ? "unseen" : "said", tick.words));
    if (text.failed) {
      const again = element("button", "again", words.tryAgain);
      again.type = "button";
      again.addEventListener("click", () => this.unsent.tryAgain());
      fate.append(again);
    }
    return line;
  }

  drawTabs() {
    const tabs = this.find(".threads");
    tabs.hidden = this.threads.length < 2;
    const wanted = JSON.stringify([this.threads.map((thread) => thread.number), this.active, [...this.unread]]);
    if (tabs.dataset.drawn === wanted) return;
    const hadFocus = tabs.contains(document.activeElement);
    tabs.dataset.drawn = wanted;
    tabs.replaceChildren(
      ...this.threads.map((thread) => {
        const tab = element("button", "", thread.shown);
        tab.type = "button";
        tab.setAttribute("aria-pressed", thread.number === this.active);
        if (this.unread.has(thread.number)) {
          tab.className = "unread";
          tab.setAttribute("aria-label", inWords(words.unread, { number: thread.shown }));
        }
        tab.addEventListener("click", () => {
          this.open(thread.number);
          this.draw();
          if (thread.conversation) choose({ conversation: thread.conversation });
        });
        return tab;
      })
    );
    const chosen = tabs.querySelector("[aria-pressed=true]");
    if (chosen) tabs.scrollTo({ left: chosen.offsetLeft - tabs.offsetLeft });
    if (hadFocus) chosen?.focus();
  }

  open(number) {
    if (number === this.active) return;
    this.drafts.set(this.active, this.input.value);
    this.input.value = this.drafts.get(number) || "";
    this.active = number;
    this.unread.delete(number);
    this.lines = new Map();
    this.complain("");
  }

  // Texts are sent one after another: what is typed during a sending waits, and the field is free at once.
  send() {
    const text = this.input.value;
    if (!text.trim()) return;
    this.input.value = "";
    this.complain("");
    this.unsent.add(this.active, text);
  }

  complain(error) {
    setText(this.find(".error"), error);
    this.find(".error").hidden = !error;
  }
}

// The texts of one phone that the server has not taken yet, in order. They survive a reload of the page.
class Unsent {
  constructor(id, changed, complain) {
    [this.id, this.changed, this.complain] = [id, changed, complain];
    this.storedAs = `unsent-${id}`;
    this.texts = JSON.parse(sessionStorage.getItem(this.storedAs) || "[]");
    this.texts.forEach((text) => (text.failed = true));
    this.isSending = false;
  }

  add(number, text) {
    const key = `new-${Date.now()}-${Math.random()}`;
    this.texts.push({ key, number, text, typed: true, at: new Date().toISOString() });
    this.keep();
    this.go();
  }

  on(number) {
    return this.texts.filter((text) => text.number === number);
  }

  // Forget those that are now among the texts on the phone.
  forget(ids) {
    const kept = this.texts.filter((text) => !ids.has(text.id));
    if (kept.length === this.texts.length) return;
    this.texts = kept;
    this.keep();
  }

  tryAgain() {
    this.texts.forEach((text) => (text.failed = false));
    this.complain("");
    this.go();
  }

  keep() {
    const waiting = this.texts.filter((text) => !text.id);
    sessionStorage.setItem(this.storedAs, JSON.stringify(waiting));
    this.changed();
  }

  async go() {
    if (this.isSending) return;
    this.isSending = true;
    let next;
    // A text that failed stops those after it: they arrive in the order in which they were typed.
    while ((next = this.texts.find((text) => !text.id)) && !next.failed) {
      try {
        const { id } = await post(urls.textsUrl, { handset: this.id, number: next.number, text: next.text });
        next.id = id;
      } catch (error) {
        next.failed = true;
        this.complain(error instanceof Refused ? error.message : words.noAnswer);
      }
      this.keep();
      pollSoon();
    }
    this.isSending = false;
  }
}

function lastId(thread) {
  return thread.texts.length ? thread.texts[thread.texts.length - 1].id : 0;
}

function bubble(text) {
  const line = element("li", text.typed ? "typed" : "arrived");
  const row = element("span", "row");
  const said = element("span", "bubble", text.text);
  said.dir = "auto";
  row.append(said);
  if (text.typed) row.append(element("span", "fate"));
  line.append(element("time", ""), row);
  return line;
}

// Show the time above a text, unless the text before has the same.
function showTimes(texts, lines) {
  let before = "";
  texts.forEach((text, index) => {
    const time = clock.format(new Date(text.at));
    const shown = lines[index].querySelector("time");
    shown.dateTime = text.at;
    setText(shown, time);
    shown.hidden = time === before;
    before = time;
  });
}
