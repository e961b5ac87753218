"use strict";

/* A filter works as soon as it is chosen; the button is for those without this script. */
(() => {
  const form = document.getElementById("search");
  if (!form || !document.querySelector(".found")) return;
  document.documentElement.classList.add("scripted");
  const told = document.getElementById("told");
  const here = () => location.pathname + location.search;
  let asking = null, shown = here();

  const address = () => {
    const fields = [...new FormData(form)].filter(([, value]) => value !== "");
    const query = new URLSearchParams(fields).toString();
    return query ? `${form.action}?${query}` : form.action;
  };

  const swap = async (url, remember) => {
    if (asking) asking.abort();
    const mine = asking = new AbortController();
    const found = document.querySelector(".found");
    found.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { signal: mine.signal, headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector(".found");
      // Something else was chosen in the meantime.
      if (asking !== mine) return;
      if (!answer.ok || !fresh) return location.assign(url);
      const focused = document.activeElement;
      const opened = [...found.querySelectorAll("fieldset")].map((box) => box.querySelector("details")?.open ?? false);
      const filters = found.querySelector(".facet-box")?.open ?? true;
      found.replaceWith(fresh);
      const box = fresh.querySelector(".facet-box");
      if (box) box.open = filters;
      [...fresh.querySelectorAll("fieldset")].forEach((set, at) => {
        const details = set.querySelector("details");
        if (details && opened[at]) details.open = true;
      });
      if (focused?.name && focused.type === "checkbox") {
        const same = [...fresh.querySelectorAll("input[type=checkbox]")];
        same.find((input) => input.name === focused.name && input.value === focused.value)?.focus();
      }
      document.title = page.title;
      if (remember) history.pushState(null, "", answer.url);
      shown = here();
      if (told) told.textContent = fresh.querySelector("h1")?.textContent ?? "";
    } catch (error) {
      if (error.name !== "AbortError") location.assign(url);
    } finally {
      // The browser may come back to this very page, as it was left.
      if (asking === mine) found.removeAttribute("aria-busy");
    }
  };

  document.addEventListener("change", (event) => {
    if (event.target.matches?.(".facets input[type=checkbox]")) swap(address(), true);
  });
  // A jump within the page, as by the skip link, comes along here, too.
  window.addEventListener("popstate", () => { if (here() !== shown) location.reload(); });
  // On a narrow screen the hits come first.
  const box = document.querySelector(".facet-box");
  if (box && window.matchMedia("(max-width: 48rem)").matches) box.open = false;
})();

/* “3 min ago” stays true while the page is open. */
(() => {
  const words = (seconds) => {
    if (seconds < 2) return "just now";
    if (seconds < 120) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min ago`;
    return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h ago`;
  };
  setInterval(() => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      if (Number.isFinite(seconds)) time.textContent = words(Math.max(0, seconds));
    }
  }, 10000);
})();
