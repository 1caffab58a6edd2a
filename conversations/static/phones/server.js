"use strict";
// The server, and the words of the page. Texts and names come from people: they enter the page only as text nodes.

const at = (id) => document.getElementById(id);
const urls = document.body.dataset;
const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
const words = Object.fromEntries(
  [...at("words").content.querySelectorAll("[data-word]")].map((each) => [each.dataset.word, each.textContent])
);

// A refusal of the server. Its message is for the person who uses the page.
class Refused extends Error {}

// Post JSON. Return the answer's JSON, or null. Throws Refused, and TypeError if the server does not answer.
async function post(url, body = {}) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify(body),
  });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Refused(problem.detail || words.refused);
  }
  return answer.status === 204 ? null : answer.json();
}

// Return the words with {name} replaced by the values, which may be nodes.
function phrase(pattern, values) {
  const whole = document.createDocumentFragment();
  for (const piece of pattern.split(/(\{\w+\})/)) {
    const key = piece.startsWith("{") ? piece.slice(1, -1) : null;
    if (piece) whole.append(key && key in values ? values[key] : piece);
  }
  return whole;
}

function inWords(pattern, values) {
  return phrase(pattern, values).textContent;
}

// Return an element with a class and a text.
function element(tag, kind, text = "") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.textContent = text;
  return made;
}

// Change the page only where it differs: a needless change takes the focus away, and is read aloud again.
function setText(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

// Put the children in this order, and remove all others.
function setChildren(parent, children) {
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] || null);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}
