"use strict";

/* What pages can do better with a script; all of them work without. Fragments come escaped from our own server.
 *
 *   <div data-live="/events">            follows a stream of server-sent events …
 *     <div data-event="rows">…</div>     … whose event "rows" brings what is in here anew
 *   <div data-refresh="10">              without a stream: takes its part of the page anew every 10 s
 *   <input data-suggest="/api?q=">       a combobox of what {"suggestions":[{text,label,url,rows}]} proposes
 *   <button data-copy="text">            copies
 */

const state = document.querySelector("[data-live-state]");

function tell(text, bad) {
  if (!state || state.textContent === text) return;
  state.textContent = text;
  state.hidden = !text;
  state.classList.toggle("bad", Boolean(bad));
}

/* Replaces what is in an element, and leaves alone what somebody is doing there: focus, open details, scrolling. */
function replace(element, html) {
  if (element.arrived === html) return;
  element.arrived = html;
  const reachable = () => [...element.querySelectorAll("a[href], button, input, select, summary, [tabindex]")];
  const within = (selector) => [...element.querySelectorAll(selector)];
  const focused = reachable().indexOf(document.activeElement);
  const open = within("details").map((details) => details.open);
  const scrolled = within(".scroll").map((box) => [box.scrollLeft, box.scrollTop]);
  element.innerHTML = html;
  within("details").forEach((details, at) => { details.open = open[at] ?? details.open; });
  within(".scroll").forEach((box, at) => { if (scrolled[at]) box.scrollTo(...scrolled[at]); });
  if (focused >= 0) reachable()[focused]?.focus({ preventScroll: true });
  element.dispatchEvent(new CustomEvent("fresh", { bubbles: true }));
}

/* (1) Streams. Closed while nobody looks: a browser has six connections per site for all its tabs. */
function follow(root) {
  const parts = [...root.querySelectorAll("[data-event]")];
  if (root.dataset.event) parts.push(root);
  let source = null, again = 0, wait = 1000;

  const close = () => {
    clearTimeout(again);
    source?.close();
    source = null;
  };
  const open = () => {
    if (source || document.hidden) return;
    clearTimeout(again);
    source = new EventSource(root.dataset.live);
    source.onopen = () => {
      [wait, root.dataset.connected] = [1000, "yes"];
      tell("", false);
    };
    source.onerror = () => {
      root.dataset.connected = "no";
      tell("Not live just now: connecting again …", true);
      if (source?.readyState !== EventSource.CLOSED) return;
      // Refused, as when there are too many: the browser gives up, we don't.
      close();
      again = setTimeout(open, wait);
      wait = Math.min(wait * 2, 30000);
    };
    for (const name of new Set(parts.map((part) => part.dataset.event))) {
      source.addEventListener(name, ({ data }) => {
        parts.filter((part) => part.dataset.event === name).forEach((part) => replace(part, data));
      });
    }
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  open();
}

/* (2) Taken anew every so often, unless a stream does it. */
function refresh(root, at) {
  const seconds = Math.max(Number(root.dataset.refresh) || 10, 1);
  setInterval(async () => {
    if (document.hidden || root.dataset.connected === "yes") return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelectorAll("[data-refresh]")[at];
      if (answer.ok && fresh) replace(root, fresh.innerHTML);
      tell("", false);
    } catch {
      tell("Not live just now: trying again …", true);
    }
  }, seconds * 1000);
}

/* (3) The combobox with a list box, after the ARIA Authoring Practices. */
function suggest(input, number) {
  const list = document.createElement("ul");
  const count = document.createElement("p");
  const id = `suggestions-${number}`;
  let shown = [], active = -1, asking = null, timer = 0;

  Object.assign(list, { id, className: "suggestions", hidden: true });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggestions");
  count.className = "visually-hidden";
  count.setAttribute("role", "status");
  input.parentNode.classList.add("combobox");
  input.parentNode.append(list, count);
  const set = { role: "combobox", autocomplete: "off", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": id };
  for (const [name, value] of Object.entries(set)) input.setAttribute(name, value);

  function close() {
    clearTimeout(timer);
    asking?.abort();
    list.hidden = true;
    list.replaceChildren();
    shown = [];
    count.textContent = "";
    mark(-1);
    input.setAttribute("aria-expanded", "false");
  }
  function mark(at) {
    active = at;
    [...list.children].forEach((option, of) => option.setAttribute("aria-selected", String(of === at)));
    if (at < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", list.children[at].id);
    list.children[at].scrollIntoView({ block: "nearest" });
  }

  const piece = (className, textContent) => Object.assign(document.createElement("span"), { className, textContent });
  function option(suggestion, at) {
    const item = Object.assign(document.createElement("li"), { id: `${id}-${at}` });
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    const rows = suggestion.rows > 1 ? ` · ${suggestion.rows.toLocaleString("en")}` : "";
    item.append(piece("suggestion-text", suggestion.text), " ", piece("suggestion-label", (suggestion.label ?? "") + rows));
    // Before the click, the focus would leave the box and close the list.
    item.addEventListener("mousedown", (event) => event.preventDefault());
    item.addEventListener("click", () => location.assign(suggestion.url));
    return item;
  }
  async function ask() {
    const typed = input.value.trim();
    if (!typed) return close();
    asking?.abort();
    asking = new AbortController();
    try {
      const to = input.dataset.suggest;
      const url = (to.includes("?") ? to : `${to}?q=`) + encodeURIComponent(typed);
      const answer = await fetch(url, { signal: asking.signal, headers: { Accept: "application/json" } });
      const { suggestions = [] } = answer.ok ? await answer.json() : {};
      if (input.value.trim() !== typed || document.activeElement !== input) return;
      if (!suggestions.length) return close();
      shown = suggestions.slice(0, 8);
      list.replaceChildren(...shown.map(option));
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
      count.textContent = shown.length === 1 ? "1 suggestion" : `${shown.length} suggestions`;
      mark(-1);
    } catch (error) {
      // An answer that is no longer wanted isn't a failure; without suggestions the box still searches.
      if (error.name !== "AbortError") close();
    }
  }

  function pressed(event) {
    if (event.isComposing) return;
    const down = event.key === "ArrowDown";
    if (down || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) return void ask();
      // One more place than options: with none marked, Enter searches for what was typed.
      const places = shown.length + 1;
      mark(((active + 1 + (down ? 1 : -1) + places) % places) - 1);
    } else if (event.key === "Enter") {
      if (active < 0) return close();
      event.preventDefault();
      location.assign(shown[active].url);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    }
  }

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 80); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", pressed);
}

/* (4) */
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const label = button.textContent;
  button.textContent = await navigator.clipboard.writeText(button.dataset.copy).then(() => "Copied", () => "Copying failed");
  setTimeout(() => { button.textContent = label; }, 1500);
});

document.querySelectorAll("[data-live]").forEach(follow);
document.querySelectorAll("[data-refresh]").forEach(refresh);
document.querySelectorAll("[data-suggest]").forEach(suggest);
