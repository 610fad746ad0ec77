// Keys and live lists. Everything works without this file, with more clicks.
"use strict";
(() => {
  const typing = e => e.target.closest("input, textarea, select") || e.ctrlKey || e.metaKey || e.altKey;
  const links = () => [...document.querySelectorAll(".lista tbody a")];

  function move(step) {
    const all = links();
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))].focus();
  }

  document.addEventListener("keydown", e => {
    if (typing(e)) {
      if (e.key === "Escape") e.target.blur();
      return;
    }
    // In a list a key means the row that one stands on, and nothing without one.
    const key = `[data-klawisz="${CSS.escape(e.key)}"]`, row = document.activeElement?.closest(".lista tr");
    const chosen = row?.querySelector(key) ?? [...document.querySelectorAll(key)].find(b => !b.closest(".lista"));
    if (chosen) {
      e.preventDefault();
      chosen.click();
    } else if (e.key === "j") move(1);
    else if (e.key === "k") move(-1);
    else if (e.key === "n") location.assign("/nowe/telefon");
    else if (e.key === "z") document.querySelector(".cofnij button")?.click();
    else if (e.key === "/") {
      e.preventDefault();
      document.querySelector("#q")?.focus();
    } else if (e.key === "Escape" && location.pathname.startsWith("/pismo/")) location.assign("/");
  });

  // A list that is drawn anew keeps the place of whoever goes through it by keys.
  let place = null;
  document.addEventListener("htmx:beforeSwap", e => {
    const a = document.activeElement;
    place = e.target.contains(a) ? a.getAttribute("href") : null;
  });
  document.addEventListener("htmx:afterSwap", () => {
    if (place) links().find(a => a.getAttribute("href") === place)?.focus();
    place = null;
  });

  const live = document.body.dataset.zywe;
  if (live && document.querySelector("[hx-trigger]")) {
    const source = new EventSource(live);
    source.addEventListener("zmiana", () => htmx.trigger(document.body, "zmiana"));
    addEventListener("pagehide", () => source.close());
  }
})();
