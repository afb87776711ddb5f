// Keeps an open page up to date. Every page is complete without this script.
//
// <body data-events="ADDRESS">: a stream of what changed. Each change loads the page again (debounced, with the header
// X-Live: 1) and swaps the elements with the same data-live name that differ.
// <div data-stream="ADDRESS">: a log. Its stream brings lines drawn by the server; they are appended.
// <div data-fills='{"answer": {"field": "value"}}'> around a form's field: that answer fills in the other fields.
// While a stream is lost, the page says since when it is stale. A hidden tab listens to nothing.
"use strict";
(() => {
  const PAUSE = 300, LEAST_BETWEEN = 2000, SOONEST = 2000, LATEST = 60000, MOST_LINES = 20000;

  // -- parts of the page

  let timer = 0, last = 0, running = false, again = false;

  function refreshSoon() {
    if (document.hidden || timer) return;
    timer = setTimeout(refresh, Math.max(PAUSE, last + LEAST_BETWEEN - Date.now()));
  }

  async function refresh() {
    timer = 0;
    if (running) { again = true; return; }
    running = true;
    last = Date.now();
    try {
      const answer = await fetch(location.href, {headers: {"X-Live": "1"}, credentials: "same-origin"});
      if (answer.ok && !answer.redirected) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch (error) {
      // The stream is lost too then, and says so.
    }
    running = false;
    if (again) { again = false; refreshSoon(); }
  }

  function keepTyped(old, made) {
    for (const box of old.querySelectorAll("input[type=checkbox]:checked")) {
      const same = made.querySelector(`input[type=checkbox][name="${CSS.escape(box.name)}"][value="${CSS.escape(box.value)}"]`);
      if (same) same.checked = true;
    }
    const fields = made.querySelectorAll("input[type=text]");
    old.querySelectorAll("input[type=text]").forEach((field, at) => {
      if (field.value && fields[at] && fields[at].name === field.name) fields[at].value = field.value;
    });
  }

  function swap(fresh) {
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = fresh.querySelector(`[data-live="${CSS.escape(old.dataset.live)}"]`);
      if (!now || now.outerHTML === (old.liveSource || old.outerHTML)) continue;
      if (old.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) continue;
      const source = now.outerHTML;
      for (const each of now.querySelectorAll("details[id]")) {
        const known = document.getElementById(each.id);
        if (known) each.open = known.open;
      }
      const made = document.importNode(now, true);
      made.liveSource = source;
      keepTyped(old, made);
      old.replaceWith(made);
    }
    if (fresh.title) document.title = fresh.title;
    document.dispatchEvent(new CustomEvent("swapped"));
  }

  // -- a stream that comes back

  const lost = new Set();

  function showStale() {
    const since = Math.min(...[...lost].map((stream) => stream.lostAt));
    let note = document.getElementById("stale");
    if (!lost.size) { if (note) note.remove(); return; }
    if (!note) {
      note = document.createElement("p");
      note.id = "stale";
      note.setAttribute("role", "status");
      document.body.append(note);
    }
    const time = new Date(since).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", hour12: false});
    note.textContent = `stale since ${time}`;
  }

  class Stream {
    constructor(address, handlers, found) {
      this.address = address;
      this.handlers = handlers;
      this.found = found; // called when a lost stream is there again
      this.id = "";
      this.delay = SOONEST;
      this.over = false;
      document.addEventListener("visibilitychange", () => document.hidden ? this.close() : this.open());
      addEventListener("pagehide", () => this.close());
      addEventListener("pageshow", (event) => { if (event.persisted) this.open(); });
      if (!document.hidden) this.open();
    }

    open() {
      if (this.over || this.source) return;
      clearTimeout(this.retry);
      const address = new URL(this.address, location.href);
      if (this.id) address.searchParams.set("after", this.id);
      const source = this.source = new EventSource(address);
      source.onopen = () => this.isBack();
      source.onerror = () => { if (this.source === source) this.isLost(source); };
      for (const [kind, handle] of Object.entries(this.handlers)) {
        source.addEventListener(kind, (event) => {
          if (event.lastEventId) this.id = event.lastEventId;
          handle(JSON.parse(event.data));
        });
      }
    }

    isBack() {
      this.delay = SOONEST;
      if (!lost.delete(this)) return;
      showStale();
      this.found();
    }

    isLost(source) {
      if (!lost.has(this)) { this.lostAt = Date.now(); lost.add(this); }
      setTimeout(showStale, 500); // a stream that only moves on is not worth a word
      source.close(); // the browser itself would give up after a refusal
      this.source = null;
      this.retry = setTimeout(() => { if (!document.hidden) this.open(); }, this.delay * (0.75 + Math.random() / 2));
      this.delay = Math.min(this.delay * 2, LATEST);
    }

    close() {
      clearTimeout(this.retry);
      if (this.source) this.source.close();
      this.source = null;
    }

    end() {
      this.over = true;
      this.close();
      lost.delete(this);
      showStale();
    }
  }

  // -- logs

  function follow(log) {
    const template = document.createElement("template");
    const page = document.scrollingElement;
    const atEnd = () => page.scrollTop + innerHeight >= page.scrollHeight - 60;
    const toEnd = () => page.scrollTo({top: page.scrollHeight, behavior: "instant"});
    const isLine = (element) => element && element.firstElementChild && element.firstElementChild.id;

    function add(lines) {
      const follows = atEnd();
      for (const [number, html] of lines) {
        template.innerHTML = html;
        const line = template.content.firstElementChild;
        const known = document.getElementById(`L${number}`);
        if (known) known.parentElement.replaceWith(line); else log.append(line);
      }
      while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
      const first = log.firstElementChild;
      if (isLine(first) && log.childElementCount === MOST_LINES) gap(1, first.firstElementChild.id.slice(1) - 1, first);
      const count = document.getElementById("last-line");
      if (count && lines.length) count.textContent = lines[lines.length - 1][0].toLocaleString("en").replaceAll(",", " ");
      if (follows) toEnd();
    }

    function gap(first, last, before) {
      const note = document.createElement("div");
      const link = document.createElement("a");
      note.className = "gap";
      link.href = `${location.pathname}?first=${first}`;
      link.textContent = `lines ${first} to ${last} are not shown here`;
      note.append(link);
      log.insertBefore(note, before || null);
    }

    if (!location.hash) toEnd();
    const stream = new Stream(log.dataset.stream, {
      lines: (data) => add(data.lines),
      gap: (data) => gap(data.first, data.last),
      end: () => { stream.end(); refresh(); },
    }, () => {});
  }

  function jump() {
    const wanted = /^#L([1-9]\d{0,14})$/.exec(location.hash);
    if (!wanted || !document.getElementById("log") || document.getElementById(`L${wanted[1]}`)) return;
    const address = new URL(location.href);
    const first = String(Math.max(1, wanted[1] - 20));
    if (address.searchParams.get("first") === first) return; // there is no such line
    address.searchParams.set("first", first);
    location.replace(address);
  }

  addEventListener("hashchange", jump);
  jump();
  const log = document.querySelector("[data-stream]");
  if (log) follow(log);
  const events = document.body.dataset.events;
  if (events) new Stream(events, {hello: () => {}, change: refreshSoon, gap: refreshSoon}, refreshSoon);
  // -- a form's answer that fills in others

  document.addEventListener("change", ({target}) => {
    const around = target.form && target.closest("[data-fills]");
    if (!around) return;
    const answer = target.type === "checkbox" ? String(target.checked) : target.value;
    for (const [name, value] of Object.entries(JSON.parse(around.dataset.fills)[answer] || {})) {
      const field = [...target.form.elements].find((each) => each.name === name && each.type !== "hidden");
      if (!field) continue;
      if (field.type === "checkbox") field.checked = Boolean(value);
      else field.value = value;
    }
  });
})();
