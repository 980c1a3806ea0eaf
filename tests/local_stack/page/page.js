// What the local stack looks like, once a second. Reads /state and changes nothing; what it is told is only ever text.
"use strict";

const EVERY = 1000;
const PATIENCE = 20_000; // milliseconds
const FALLING = 5000; // milliseconds for which ThrottledDLQ counts as draining after it held fewer
const SAID_EVERY = 10_000; // milliseconds: a screen reader is not told each message
const OUTCOMES = {
  EventsDelivered: "delivered", EventsDuplicate: "duplicate", EventsThrottled: "throttled",
  EventsRejected: "rejected", EventsRetried: "retried", EventsIgnored: "ignored",
};
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);
const count = (number) => number.toLocaleString("en");
const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
const many = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

// ---- elements -------------------------------------------------------------------------------------------------

function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const shown = {};
const opened = new Set();

// Builds a part anew only when what it shows has changed, and leaves focus, scroll and opened details as they were.
function show(id, data, build) {
  const text = JSON.stringify(data);
  if (shown[id] === text) return;
  shown[id] = text;
  const part = byId(id);
  const focused = part.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const scrolled = new Map([...part.querySelectorAll(".scroll")].map((each) => [each.dataset.key, each.scrollTop]));
  part.replaceChildren(...[build(data)].flat().filter(Boolean));
  for (const each of part.querySelectorAll(".scroll")) each.scrollTop = scrolled.get(each.dataset.key) ?? 0;
  if (focused) part.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

function put(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function details(key, summary, ...children) {
  const element = el("details", {}, el("summary", { "data-key": key }, summary), ...children);
  element.open = opened.has(key);
  element.addEventListener("toggle", () => (element.open ? opened.add(key) : opened.delete(key)));
  return element;
}

const panel = (...children) => el("p", { class: "panel" }, ...children);
const scrolling = (key, label, child) => el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label, "data-key": key }, child);

// ---- the parts ------------------------------------------------------------------------------------------------

function flow(state, before) {
  const { SegmentEventsQueue: queue, ThrottledDLQ: throttled, RejectedDLQ: rejected } = state.queues;
  const accepted = state.accepted ?? state.outcomes.EventsDelivered;
  const set = (id, number) => put(id, count(number));
  set("queue-waiting", queue.waiting + queue.delayed);
  set("queue-in-flight", queue.inFlight);
  set("received", state.outcomes.MessagesReceived);
  set("running", state.function.running);
  put("accepted-term", state.simulated ? "accepted" : "delivered");
  set("accepted", accepted);
  set("requests", state.requests);
  set("throttled-waiting", throttled.waiting + throttled.delayed);
  set("throttled-in-flight", throttled.inFlight);
  set("rejected-waiting", total(rejected));
  document.querySelector("#flow .throttled").classList.toggle("full", total(throttled) > 0);
  document.querySelector("#flow .rejected").classList.toggle("full", total(rejected) > 0);
  const moves = (id, isMoving) => byId(id).classList.toggle("moving", isMoving);
  moves("arrow-in", queue.inFlight > 0);
  moves("arrow-out", before !== null && state.requests > before.requests);
  moves("arrow-back", throttled.inFlight > 0);
  moves("arrow-rejected", before !== null && total(rejected) > total(before.queues.RejectedDLQ));
}

const total = (queue) => queue.waiting + queue.inFlight + queue.delayed;

function notices({ pauses, away, nothing, send, gone }) {
  return [
    gone && notice("bad", "✕", "The local stack is gone.", ` What you see is from ${gone}. Start it with `, el("code", {}, "make local"), ": this page goes on by itself."),
    !gone && nothing && notice("", "→", "Nothing has been sent yet.", " In a second terminal: ", el("code", {}, send)),
    ...pauses.map((pause) => notice("warn", "❚❚", `Paused: ${pause.connectors.join(", ")}.`, ` ${pause.code}. `, pause.text)),
    away && notice(away.isFalling ? "" : "warn", away.isFalling ? "↻" : "❚❚", away.isFalling ? "Draining." : "Waiting.", ` ${away.text}`),
  ];
}

const notice = (kind, sign, title, ...text) => el("p", { class: `notice ${kind}` }, el("span", { "aria-hidden": "true" }, `${sign} `), el("strong", {}, title), ...text);

// The pause by the stack's clock; what a person should expect, rather than the item's attributes.
function pauseText(pause, now) {
  const seconds = Math.ceil((pause.until - now) / 1000);
  if (pause.probing) return "One request finds out whether it is over.";
  if (seconds <= 0) return "The time is up: the next request finds out whether it is over.";
  return `Nothing is sent until ${clock(pause.until)}, ${many(seconds, "second")} more. Then one request finds out whether it is over; what arrives meanwhile waits on ThrottledDLQ.`;
}

// What is on ThrottledDLQ without a pause: a login was throttled, the budget is used up, or the pause has ended.
function away(state) {
  const waiting = total(state.queues.ThrottledDLQ);
  if (!waiting || state.pauses.length) return null;
  const groups = state.letters.ThrottledDLQ ?? [];
  const codes = [...new Set(groups.map((group) => `${group.code}${group.connector && ` (${group.connector})`}`))].join(", ");
  const last = Math.max(0, ...groups.map((group) => group.dueUntil ?? 0));
  const by = last > state.now ? `, the last at ${clock(last)}` : "";
  const text = `${many(waiting, "message")} on ThrottledDLQ ${waiting === 1 ? "comes" : "come"} back without anybody's help${by}: ${codes}.`;
  return { text, isFalling: performance.now() - fell < FALLING };
}

function outcomes(counts) {
  const received = counts.MessagesReceived;
  if (!received) return panel("Each message ends in exactly one outcome. None has been received yet.");
  const parts = Object.entries(OUTCOMES).map(([metric, word], hue) => ({ word, hue, value: counts[metric] }));
  const sum = parts.reduce((before, part) => before + part.value, 0);
  let from = 0;
  const bar = svg("svg", { class: "bar", viewBox: "0 0 1000 20", preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const { hue, value } of parts) {
    if (value) bar.append(svg("rect", { class: `area hue-${hue}`, x: from, width: Math.max(2, (1000 * value) / sum - 2), height: 20 }));
    from += (1000 * value) / sum;
  }
  const law = received === sum
    ? `${count(received)} received, each with exactly one outcome. What comes back is received again.`
    : `${count(received)} received, ${count(sum)} with an outcome so far.`;
  const legend = parts.map(({ word, hue, value }) => el("li", { "data-outcome": word }, swatch(hue), `${word} `, el("b", {}, count(value))));
  return el("div", { class: "panel" }, el("p", { class: "law" }, law), bar, el("ul", { class: "legend" }, ...legend));
}

const swatch = (hue, isLine = false) => svg("svg", { viewBox: "0 0 22 16", "aria-hidden": "true" },
  isLine ? svg("polyline", { class: `hue-${hue}`, points: "0,8 22,8" }) : svg("rect", { class: `area hue-${hue}`, width: 22, height: 16 }));

function lines({ lines: found, find }) {
  if (!found.length) return panel(find ? "No line holds that." : "The function has said nothing yet. There will be one line per request and per batch, and one per message that is not delivered at the first attempt.");
  const items = found.map((line) => el("li", { class: line.level },
    el("time", { class: "soft" }, clock(line.at)), el("span", { class: "kind soft" }, line.kind),
    el("span", {}, line.count > 1 ? el("b", {}, `${many(line.count, "message")} `) : "", line.text, line.count === 1 ? el("code", {}, ` ${line.messageId}`) : "")));
  return scrolling("lines", "Lines of the function's log, the newest first", el("ol", { class: "lines" }, ...items));
}

function letters({ RejectedDLQ, ThrottledDLQ, find }) {
  return [
    ...queueOf("RejectedDLQ", "waits for a person", RejectedDLQ, find ? "holds no such message." : "Nothing was rejected."),
    ...queueOf("ThrottledDLQ", "comes back by itself", ThrottledDLQ, find ? "holds no such message." : "Nothing waits."),
  ];
}

function queueOf(name, what, groups, nothing) {
  const heading = el("h3", { class: "unseen" }, name);
  const title = el("b", {}, `${name} `);
  if (groups === null) return [heading, panel(title, "holds too many to list.")];
  if (!groups.length) return [heading, panel(title, nothing)];
  const list = groups.map((group, number) => letterGroup(name, group, groups.findIndex((each) => each.code === group.code) === number));
  return [heading, scrolling(name, `Letters on ${name}, by reason`, el("div", {}, el("p", { class: "letter soft" }, title, what), ...list))];
}

function letterGroup(queue, group, isFirstOfCode) {
  const key = `${queue} ${group.code} ${group.reason} ${group.connector}`;
  const back = group.dueFrom && (clock(group.dueFrom) === clock(group.dueUntil) ? `Back at ${clock(group.dueFrom)}. ` : `Back from ${clock(group.dueFrom)} to ${clock(group.dueUntil)}. `);
  const found = group.letters.map((letter) => el("li", {},
    el("span", { class: "soft" }, `${clock(letter.at)} ${letter.eventName} `), el("code", {}, letter.id), el("pre", {}, el("code", {}, pretty(letter.body)))));
  const newest = group.count > found.length ? `the newest ${found.length} messages` : many(found.length, "message");
  return el("div", { class: "letter", "data-code": group.code },
    el("h4", {}, el("span", {}, group.code), el("span", {}, count(group.count))),
    el("p", {}, back || "", group.reason, group.connector ? el("span", { class: "soft" }, ` (connector ${group.connector})`) : ""),
    group.advice && isFirstOfCode && queue === "RejectedDLQ" ? el("p", { class: "soft" }, `To do: ${group.advice}`) : "",
    details(key, `Show ${newest}`, el("ul", {}, ...found)));
}

function pretty(body) {
  try { return JSON.stringify(JSON.parse(body), null, 2); } catch { return body; }
}

function inbox({ events, accepted, simulated, find }) {
  if (!simulated) return panel("This stack sends to a real Responsys: look there what has arrived.");
  if (!events.length) return panel(find ? "No event holds that." : "Responsys has accepted nothing yet.");
  const rows = events.map((event) => el("tr", {},
    el("td", { class: "soft whole" }, clock(event.at)), el("th", { scope: "row" }, event.eventName), el("td", {}, event.profileId ?? ""),
    el("td", { class: "whole" }, event.callType ?? ""),
    el("td", { class: "whole" }, shortened(event.identifier), el("span", { class: "soft block" }, `${event.identifierKind}, ${event.list}`)), el("td", {}, ...event.properties.map(([name, value]) => el("span", {}, el("span", { class: "soft" }, `${name} `), `${value}   `)))));
  const columns = ["Time", "Event", "Profile", "Call type", "Recipient", "Properties"];
  const caption = `${count(events.length)} of ${count(accepted)} accepted events, the newest first`;
  return scrolling("inbox", "Accepted events", el("table", { class: "stacked" }, el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...columns.map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, ...rows)));
}

const shortened = (text) => text.length > 24 ? el("span", { title: text }, `${text.slice(0, 10)}…${text.slice(-6)}`) : text;

// ---- graphs ---------------------------------------------------------------------------------------------------

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [560, 170, 44, 18, 8];

function graphs({ graphs: all, start, step }) {
  return all.map((graph) => {
    const points = graph.series[0]?.values.length ?? 0;
    const stacks = [...Array(points).keys()].map((at) => graph.series.reduce((sum, each) => sum + (each.values[at] ?? 0), 0));
    const values = graph.kind === "bars" ? stacks : graph.series.flatMap((each) => each.values.map((value) => value ?? 0));
    const top = roundedUp(Math.max(0, ...values));
    const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
    const x = (at) => LEFT + (at * (WIDTH - LEFT)) / points;
    const drawn = graph.kind === "bars" ? bars(graph, points, x, y) : polylines(graph, x, y);
    const texts = graph.series.map((each) => `${each.label} ${summary(graph, each)}`);
    const plot = svg("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${graph.title}, ${texts.join(", ") || "no data"}` },
      ...[0, top / 2, top].flatMap((value) => [
        svg("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }),
        svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(value))]),
      ...drawn,
      svg("text", { x: LEFT, y: HEIGHT - 3 }, clock(start)),
      svg("text", { x: WIDTH, y: HEIGHT - 3, "text-anchor": "end" }, clock(start + points * step)));
    const legend = graph.series.map((each, hue) => el("li", {}, swatch(hue, graph.kind === "lines"), `${each.label} `, el("b", {}, summary(graph, each))));
    return el("figure", { "data-graph": graph.key },
      el("figcaption", {}, graph.title, el("span", { class: "soft" }, ` ${graph.unit}${graph.isCount ? ` in ${step / 1000} s` : ""}`)),
      plot, el("ul", { class: "legend" }, ...legend));
  });
}

function bars(graph, points, x, y) {
  const drawn = [];
  for (let at = 0; at < points; at += 1) {
    let from = 0;
    graph.series.forEach((each, hue) => {
      const value = each.values[at] ?? 0;
      if (!value) return;
      drawn.push(svg("rect", { class: `area hue-${hue}`, x: x(at), width: x(1) - x(0) - 1, y: y(from + value), height: y(from) - y(from + value) }));
      from += value;
    });
  }
  return drawn;
}

function polylines(graph, x, y) {
  return graph.series.flatMap((each, hue) => {
    const known = each.values.map((value, at) => value === null ? null : `${x(at + 0.5)},${y(value)}`).filter(Boolean);
    return known.length === 1
      ? [svg("circle", { class: `dot hue-${hue}`, cx: known[0].split(",")[0], cy: known[0].split(",")[1], r: 2 })]
      : [svg("polyline", { class: `hue-${hue}`, points: known.join(" ") })];
  });
}

// A count is summed over the time shown; of a depth or an age the latest value is told.
function summary(graph, { values }) {
  const known = values.filter((value) => value !== null);
  if (graph.isCount) return count(Math.round(known.reduce((sum, value) => sum + value, 0)));
  return known.length ? short(known.at(-1)) : "–";
}

const short = (value) => value >= 10_000 ? `${count(Math.round(value / 1000))}k` : count(Math.round(value * 10) / 10);

function roundedUp(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 8, 10].map((factor) => factor * power).find((limit) => limit >= value);
}

// ---- what is said aloud, and the loop ---------------------------------------------------------------------------

let last = null;
let fell = -Infinity;
let said = null;
let saidAt = 0;

function say(state) {
  if (!said) { said = state; return; }
  const changes = [];
  if (state.pauses.length > said.pauses.length) changes.push(`Paused: ${state.pauses.at(-1).code}`);
  if (state.pauses.length < said.pauses.length) changes.push("A pause is over");
  if (!changes.length && performance.now() - saidAt < SAID_EVERY) return;
  for (const [metric, word] of Object.entries(OUTCOMES)) {
    const more = state.outcomes[metric] - said.outcomes[metric];
    if (more > 0) changes.push(`${count(more)} ${word}`);
  }
  if (changes.length) { put("told", changes.join(", ")); saidAt = performance.now(); }
  said = state;
}

function render(state, find, gone) {
  document.body.classList.toggle("gone", Boolean(gone));
  show("notices", {
    gone,
    pauses: state.pauses.map((pause) => ({ ...pause, text: pauseText(pause, state.now) })),
    away: gone ? null : away(state),
    nothing: !state.outcomes.MessagesReceived && !Object.values(state.queues).some(total),
    send: state.send,
  }, notices);
  const found = (state.letters.RejectedDLQ ?? []).concat(state.letters.ThrottledDLQ ?? []).reduce((sum, group) => sum + group.count, 0);
  put("matches", find ? `“${find}”: ${many(state.events.length, "event")}, ${many(found, "dead letter")}, ${many(state.lines.length, "line")}` : "");
  show("outcomes", state.outcomes, outcomes);
  show("lines", { lines: state.lines, find }, lines);
  show("letters", { ...state.letters, find }, letters);
  show("inbox", { events: state.events, accepted: state.accepted, simulated: state.simulated, find }, inbox);
  show("graphs", { graphs: state.graphs, start: state.start, step: state.step }, graphs);
  const waiting = total(state.queues.SegmentEventsQueue) + total(state.queues.ThrottledDLQ);
  document.title = `${gone ? "gone" : waiting ? `${count(waiting)} on their way` : "idle"}, responsys-activation, local stack`;
}

// The state, or null where nobody answers.
async function asked(find) {
  try {
    const reply = await fetch(`state?find=${encodeURIComponent(find)}`, { signal: AbortSignal.timeout(PATIENCE) });
    return reply.ok ? await reply.json() : null;
  } catch {
    return null;
  }
}

let turns = 0;

async function look() {
  const turn = ++turns;
  const find = byId("find").value.trim();
  const state = await asked(find);
  if (turn < turns) return; // a later look has what is wanted now
  if (state) here(state, find);
  else if (last) gone(find);
  else put("alive", "the local stack does not answer");
}

function here(state, find) {
  const before = last?.started === state.started ? last : null;
  if (!before) said = null;
  if (before && total(state.queues.ThrottledDLQ) < total(before.queues.ThrottledDLQ)) fell = performance.now();
  last = state;
  flow(state, before);
  render(state, find, "");
  say(state);
  put("alive", `live, ${clock(state.now)}${state.timeScale === 1 ? "" : `, ${state.timeScale} × as fast`}`);
}

function gone(find) {
  render({ ...last, pauses: [] }, find, clock(last.now));
  for (const arrow of document.querySelectorAll(".moving")) arrow.classList.remove("moving");
  put("alive", "gone");
  put("told", "The local stack is gone");
}

let timer;

async function repeat() {
  clearTimeout(timer);
  try {
    if (!document.hidden) await look();
  } finally {
    clearTimeout(timer);
    timer = setTimeout(repeat, EVERY);
  }
}

byId("find").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(repeat, 200); });
document.addEventListener("visibilitychange", repeat);
repeat();
