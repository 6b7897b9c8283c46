const $ = id => document.getElementById(id), list = $("list"), view = $("view"), line = $("timeline"), empty = $("empty");
const BAD = ["failed", "unknown", "bounced"];
let last = 0, items = [], unsent = [], listed = "", shown = null, part = "html", lost = false, drawn = "";
const el = (tag, text, cls) => { const n = document.createElement(tag); if (text !== undefined) n.textContent = text; if (cls) n.className = cls; return n; };
const time = at => new Date(at).toLocaleTimeString();
const why = one => [...new Set([one.reason, one.code])].filter(Boolean).join(": ");

async function poll() {
  try {
    // A restarted server counts from one again.
    const answer = await (await fetch(`/inbox.json?after=${lost ? 0 : last}`)).json();
    if (lost) { lost = false; last = 0; items = []; }
    for (const item of answer.items) { items.push({ ...item, id: `caught-${item.number}-${item.at}`, status: "sent" }); last = item.number; }
    unsent = answer.unsent; drawList();
  } catch { lost = true; $("state").textContent = "Notifier does not answer"; }
  if (shown && !lost) await drawTimeline(shown);
  setTimeout(poll, 1000);
}
function drawList() {
  const all = [...items, ...unsent].sort((a, b) => a.at < b.at ? 1 : -1), now = JSON.stringify(all);
  const bad = unsent.filter(one => BAD.includes(one.status)).length;
  $("state").textContent = all.length ? `${items.length} caught${bad ? `, ${bad} failed` : ""}` : "Waiting for messages…";
  if (now === listed) return;
  listed = now;
  const focused = document.activeElement.dataset.id;
  list.replaceChildren(...all.map(rowOf));
  if (focused) for (const row of list.children) if (row.dataset.id === focused) row.focus();
  $("again").hidden = !all.length;
  if (!all.length) { again(); return; }
  if (view.contains(empty)) { if (!$("main").classList.contains("again")) show(all[0]); return; }
  const same = all.find(one => one.id === shown.id) || all.find(one => one.notification_id && one.notification_id === shown.notification_id && one.kind === shown.kind) || all[0];
  // What was sent in the meantime is another entry; the one being read isn't drawn again for nothing.
  if (JSON.stringify(same) !== JSON.stringify(shown)) show(same);
}
function rowOf(item) {
  const row = el("button", undefined, BAD.includes(item.status) ? "bad" : ""), state = el("small", undefined, "line");
  state.append(el("span", item.status, `status ${item.status}`), ` ${[why(item), item.request_id].filter(Boolean).join(" · ")}`);
  row.append(el("span", item.kind, `tag ${item.kind}`), el("small", `${time(item.at)} `), el("small", item.to), el("b", item.subject || "(no subject)"), state);
  row.title = [item.subject, item.to, item.request_id].filter(Boolean).join("\n"); row.onclick = () => show(item); row.dataset.id = item.id;
  row.setAttribute("aria-current", shown !== null && shown.id === item.id); return row;
}
function mark() { for (const row of list.children) row.setAttribute("aria-current", shown !== null && row.dataset.id === shown.id); }
function show(item) {
  const moved = !shown || shown.notification_id !== item.notification_id;
  if (!shown || shown.id !== item.id) part = item.html ? "html" : "text";
  shown = item; $("main").className = ""; mark(); draw();
  if (moved || !drawn) { line.replaceChildren(); drawn = ""; drawTimeline(item); }
}
function draw() {
  const item = shown, meta = el("div", undefined, "meta");
  meta.append(el("span", item.status, `status ${item.status}`), ` ${[time(item.at), item.request_id && `request_id ${item.request_id}`, item.note, `${item.from ? item.from + " → " : ""}${item.to}`].filter(Boolean).join(" · ")}`);
  view.replaceChildren(el("h2", item.subject || "(no subject)"), meta);
  if (item.status !== "sent") {
    const facts = [why(item), item.detail, item.due_at && `Due at ${new Date(item.due_at).toLocaleString()}.`].filter(Boolean);
    if (facts.length) view.append(el("pre", facts.join("\n")));
    if (BAD.includes(item.status)) { const hint = el("p", "Send it again from the "), link = el("a", "dead letters"); link.href = "/admin/notifications/deadletter/"; hint.append(link, ", or with manage.py replay_dlq."); view.append(hint); }
    return;
  }
  if (item.on_phone) {
    const phone = el("div", undefined, "phone"); if (!item.text.startsWith(item.subject)) phone.append(el("b", item.subject)); phone.append(el("span", item.text));
    if (/^https?:/.test(item.image)) { const image = el("img"); image.src = item.image; image.alt = ""; image.onerror = () => image.replaceWith(el("div", `Image: ${item.image}`)); phone.append(image); }
    view.append(phone); if (item.data) view.append(el("pre", JSON.stringify(item.data, null, 2))); return;
  }
  const nav = el("nav");
  for (const name of ["html", "text", "headers"]) {
    if (name !== "headers" && !item[name]) continue;
    const tab = el("button", name === "html" ? "HTML" : name[0].toUpperCase() + name.slice(1)); tab.setAttribute("aria-pressed", name === part);
    tab.onclick = () => { part = name; draw(); }; nav.append(tab);
  }
  view.append(nav);
  if (part === "html") { const frame = el("iframe"); frame.setAttribute("sandbox", ""); frame.title = "The email as it looks"; frame.srcdoc = item.html; view.append(frame); }
  else view.append(el("pre", part === "text" ? item.text : item.headers.map(([n, v]) => `${n}: ${v}`).join("\n")));
}
async function drawTimeline(item) {
  if (!item.notification_id) { line.replaceChildren(el("li", "Not sent by a notification.")); return; }
  let events;
  try { events = (await (await fetch(`/inbox/${item.notification_id}/timeline.json`)).json()).events; } catch { return; }
  // Another message may have been chosen meanwhile; and a redraw would undo a selection of text.
  if (item !== shown || drawn === JSON.stringify(events)) return;
  drawn = JSON.stringify(events);
  line.replaceChildren(...events.map(event => {
    const row = el("li", undefined, event.kind), d = event.data;
    row.append(el("b", `${event.kind}${event.channel ? " · " + event.channel : ""} `), el("time", new Date(event.at).toLocaleTimeString()));
    const lines = event.kind === "accepted"
      ? [`${d.template} v${d.version}`, ...d.decisions.map(x => `${x.channel} → ${x.recipient || "nobody"}: ${x.decision}${x.reason ? " (" + x.reason + ")" : ""}`)]
      : describe(d);
    for (const text of lines) row.append(el("div", text));
    return row;
  }));
}
function describe({ reason, code, provider, attempt, epoch, detail, wait_seconds, ...rest }) {
  const { provider_message_id: message, dead_letter: deadLetter, ...others } = rest;
  return [
    why({ reason, code }), [provider && `by ${provider}`, attempt && `attempt ${attempt}`].filter(Boolean).join(", "), detail && `“${detail}”`,
    wait_seconds && `next attempt in ${wait_seconds} s`, epoch && `replay ${epoch}`, message && `the provider's id: ${message}`, deadLetter && `dead letter ${deadLetter}`,
    ...Object.entries(others).map(([k, v]) => `${k.replaceAll("_", " ")}: ${v}`),
  ].filter(Boolean);
}
function again() {
  shown = null; drawn = ""; mark(); line.replaceChildren(); view.replaceChildren(empty);
  $("main").className = items.length + unsent.length ? "again" : "blank";
}
$("again").onclick = again;
const copy = $("copy"), curl = $("curl");
copy.onclick = async () => {
  try { await navigator.clipboard.writeText(curl.textContent); copy.textContent = "Copied"; }
  catch { getSelection().selectAllChildren(curl); copy.textContent = "Selected: press Ctrl+C"; }
  setTimeout(() => { copy.textContent = "Copy"; }, 2000);
};
poll();
