"use strict";
// What the network and the proxy do: the newest trips, each with its stations, who sees which number, and its steps.

const exactClock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 1, hourCycle: "h23",
});
const trips = new Map();
let hasDrawnTrips = false;

function drawTrips(found, order) {
  const shown = found.map((trip, index) => {
    const line = trips.get(trip.id) || newTrip(trip);
    trips.set(trip.id, line);
    if (line.dataset.drawn !== JSON.stringify(trip)) drawTrip(line, trip, order);
    line.classList.toggle("newest", index === 0);
    return line;
  });
  setChildren(at("trips"), shown);
  for (const id of trips.keys()) if (!found.some((trip) => trip.id === id)) trips.delete(id);
  at("no-trips").hidden = found.length > 0;
  at("latest").replaceChildren(...(found.length ? [wayOf(found[0]), " · ", found[0].words] : []));
  hasDrawnTrips = true;
}

function newTrip() {
  const line = at("trip").content.firstElementChild.cloneNode(true);
  // On the first drawing nothing moves: these texts went their way before.
  if (hasDrawnTrips) line.classList.add("fresh");
  return line;
}

function drawTrip(line, trip, order) {
  line.dataset.drawn = JSON.stringify(trip);
  const find = (selector) => line.querySelector(selector);
  setText(find(".way"), wayOf(trip));
  const time = find("time");
  time.dateTime = trip.at;
  setText(time, exactClock.format(new Date(trip.at)));
  const lane = find(".lane");
  lane.className = `lane ${trip.tone} at-${trip.stage} ${trip.from ? "" : "from-proxy"} ${isLeftward(trip, order) ? "leftward" : ""}`;
  const names = find(".names");
  names.className = `names ${lane.className}`.replace("lane ", "");
  stationsOf(trip).forEach((name, index) => setText(names.children[index], name));
  const outcome = find(".outcome");
  outcome.className = `outcome ${trip.tone}`;
  const sign = { good: "✓✓", bad: "✗", stopped: "⊘", moving: "◌" }[trip.tone];
  const mark = element("span", "sign", sign);
  mark.setAttribute("aria-hidden", "true");
  outcome.replaceChildren(mark, " ", trip.words);
  find(".sees").replaceChildren(...sightsOf(trip));
  find(".steps ol").replaceChildren(
    ...trip.steps.map((step) => {
      const item = element("li", "");
      const when = element("time", "", exactClock.format(new Date(step.at)));
      when.dateTime = step.at;
      // A number stays on one line.
      item.append(when, " ", step.words.replace(/\+\d[\d ]*\d/g, (number) => number.replaceAll(" ", "\u00a0")));
      return item;
    })
  );
}

// Return what is under the five stations: names, and the last digits of the virtual numbers.
function stationsOf(trip) {
  const end = (number) => (number ? `…${number.slice(-3)}` : "");
  const relays = trip.legs.filter((leg) => leg.is_relay || !trip.from);
  const many = `×${relays.length}`;
  const last = relays.length > 1 ? [many, many] : relays.map((leg) => [end(leg.number), leg.to.name])[0] || ["", ""];
  return [trip.from ? trip.from.name : "", end(trip.number), words.proxy, ...last];
}

function wayOf(trip) {
  const relays = trip.legs.filter((leg) => leg.is_relay || !trip.from);
  const readers = relays.map((leg) => leg.to.name);
  return [trip.from ? trip.from.name : words.proxy, readers.length ? readers.join(", ") : words.proxy].join(" → ");
}

// Return a line for each phone at the end: which number it sees, and which number it does not see.
function sightsOf(trip) {
  const lines = trip.legs.map((leg) => {
    const line = element("li", "");
    const known = {
      person: element("strong", "", leg.to.name),
      number: element("span", "number virtual", leg.number),
      what: leg.kind,
      own: element("s", "number", trip.from ? trip.from.own : ""),
    };
    const relay = leg.mark === "delivered" ? words.seesRelay : words.wouldSee;
    line.append(phrase(leg.is_relay && trip.from ? relay : words.getsNotice, known));
    if (leg.words !== trip.words) line.append(" ", element("span", `fate ${leg.mark}`, leg.words));
    return line;
  });
  if (!lines.length && trip.from) {
    const line = element("li", "");
    line.append(phrase(words.staysHidden, { own: element("s", "number", trip.from.own) }));
    lines.push(line);
  }
  return lines;
}

// A text goes from the right to the left if the phone of its writer is on the right.
function isLeftward(trip, order) {
  const reader = trip.legs[0] && order.indexOf(trip.legs[0].to.phone);
  const writer = trip.from ? order.indexOf(trip.from.phone) : -1;
  if (!trip.from) return reader === 0;
  return reader >= 0 ? writer > reader : writer > 0;
}
