/* <bellwire-inbox>: a person's notifications. A bell with a live badge, the list, acknowledging and preferences.
 * One file, no dependencies, no build. Whatever comes from the server is set as text and never becomes markup.
 * Attributes, properties, events and colours: docs/inbox.md. */
(() => {
  "use strict";
  if (customElements.get("bellwire-inbox")) return;

  const PAGE = 25; // notifications asked for at once
  const POLL = 15; // seconds between two looks while there is no stream
  const LOOK = 120; // seconds between two looks while there is one: a proxy may have gone deaf without a word
  const SLOWEST = 60; // seconds between two tries to get the stream back
  const PATIENCE = 15; // seconds for an answer, and for a stream to open
  const LONGEST_NOTE = 2000; // characters
  const FARTHEST = 4; // pages fetched by themselves to find something of a group

  const WORDS = {
    title: "Notifications", unreadCount: "{n} unread", unread: "Unread", all: "All", allGroups: "All groups", group: "Group",
    show: "Show", markAll: "Mark all read", markRead: "Mark read", markUnread: "Mark unread", remove: "Delete",
    reallyRemove: "Delete for good?", acknowledge: "Acknowledge", note: "Note (optional; others see it)", cancel: "Cancel",
    acknowledged: "Acknowledged by {who}, {when}", more: "Load more", loading: "Loading…", open: "Open",
    preferences: "Preferences", close: "Close", none: "You have no notifications.",
    noneUnread: "You have read everything.", noneGroup: "Nothing of this group.", retry: "Try again",
    arrived: "New notification, {severity}: {title}", arrivedMany: "{n} new notifications",
    connecting: "Connecting…", live: "Live", reconnecting: "Reconnecting…", offline: "No connection. Trying again…",
    polling: "No live updates. Checking every {n} s", unauthorized: "Your sign-in has ended.",
    failed: "That did not work: {why}", unreachable: "the server cannot be reached", single: "Single events ({n})",
    saved: "Saved", locked: "Always sent: {events}", customer: "customer {id}", broadcast: "Message to everyone: {message}",
    low: "Low", medium: "Medium", high: "High", critical: "Critical", email: "Email", sms: "Text message", push: "Push",
    telegram: "Telegram", whatsapp: "WhatsApp", webhook: "Webhook", in_app: "Inbox", apprise: "Other services",
  };
  const SIGNS = { low: "○", medium: "●", high: "▲", critical: "◆" };
  const ICONS = {
    bell: "M12 3a6 6 0 0 0-6 6v4l-2 4h16l-2-4V9a6 6 0 0 0-6-6Zm-2 16a2 2 0 0 0 4 0Z",
    sliders: "M4 7h9m4 0h3M4 17h3m4 0h9M15 4.5v5M9 14.5v5",
    cross: "M6 6l12 12M18 6L6 18",
  };

  const STYLE = `
:host { display: inline-block; position: relative; color-scheme: light dark; font: 1rem/1.45 var(--bellwire-font, system-ui, sans-serif);
  --ink: var(--bellwire-ink, light-dark(#1a2230, #e8ecf2)); --soft: var(--bellwire-soft, light-dark(#56606f, #a9b4c3));
  --card: var(--bellwire-card, light-dark(#fff, #1b212a)); --shade: var(--bellwire-shade, light-dark(#f3f6fb, #232b36));
  --line: var(--bellwire-line, light-dark(#dbe1ea, #364150)); --edge: var(--bellwire-edge, light-dark(#7a8595, #75818f));
  --accent: var(--bellwire-accent, light-dark(#1d4ed8, #8fb1ff)); --on-accent: var(--bellwire-on-accent, light-dark(#fff, #0d1526));
  --low: light-dark(#56606f, #a9b4c3); --medium: light-dark(#1d4ed8, #8fb1ff); --high: light-dark(#b43d08, #fb9d5c); --critical: light-dark(#b91c1c, #ff8a8a); --good: light-dark(#15713a, #5bd98a);
  color: var(--ink) }
:host([theme="light"]) { color-scheme: light } :host([theme="dark"]) { color-scheme: dark }
:host([inline]) { display: block } :host([hidden]), [hidden] { display: none !important }
*, ::before { box-sizing: border-box }
button, select, textarea { font: inherit; color: inherit }
button { min-height: 2.25rem; padding: .25rem .75rem; border: 1px solid var(--edge); border-radius: .5rem; background: var(--card); cursor: pointer }
button:hover { background: var(--shade) } button:disabled { opacity: .55; cursor: default }
button.go { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600 }
button.plain, article button.word { padding-inline: .25rem; border-color: transparent; background: none; color: var(--accent) }
article button.word { min-height: 2rem; padding: .125rem .375rem; font-size: .875rem } article button.word:hover { background: var(--card); text-decoration: underline }
button.sure { color: var(--critical) !important; font-weight: 600 }
.icon { display: inline-grid; place-items: center; width: 2.5rem; height: 2.5rem; padding: 0; border-color: transparent; background: none; flex: none }
svg { width: 1.375rem; height: 1.375rem; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px } article:focus-visible { outline-offset: -3px }
.bell { position: relative }
.badge { min-width: 1.25rem; padding: 0 .3rem; border-radius: .75rem; background: var(--critical); color: var(--card); font-size: .75rem; font-weight: 700; line-height: 1.25rem; text-align: center }
.bell .badge { position: absolute; inset-block-start: 0; inset-inline-start: 50% }
.panel { display: flex; flex-direction: column; background: var(--card); border: 1px solid var(--line); border-radius: var(--bellwire-radius, .75rem); overflow: hidden; text-align: start }
:host(:not([inline])) .panel { position: absolute; z-index: 1000; inset-block-start: calc(100% + .375rem); inset-inline-end: 0; width: min(27rem, 100vw - 1.5rem); max-height: min(40rem, 80vh); box-shadow: 0 .5rem 2rem rgb(0 0 0 / .25) }
:host([align="start"]:not([inline])) .panel { inset-inline: 0 auto }
.top { display: flex; align-items: center; gap: .5rem; padding-block: .5rem .25rem; padding-inline: 1rem .5rem }
h2 { margin: 0; font-size: 1.125rem } .grow { flex: 1; min-width: 0 }
.state { display: flex; align-items: center; gap: .375rem; padding: 0 1rem .5rem; font-size: .8125rem; color: var(--soft) }
.state::before { content: ""; width: .5rem; height: .5rem; border: 2px solid var(--high); border-radius: 50%; flex: none }
.state.live::before { border-color: var(--good); background: var(--good) }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: .375rem .5rem; padding: 0 1rem .625rem; border-block-end: 1px solid var(--line); font-size: .875rem }
.choice { display: inline-flex } .choice button { border-radius: 0; margin-inline-start: -1px } .choice button:first-child { border-start-start-radius: .5rem; border-end-start-radius: .5rem; margin: 0 } .choice button:last-child { border-start-end-radius: .5rem; border-end-end-radius: .5rem }
button[aria-pressed="true"] { background: var(--accent); border-color: var(--accent); color: var(--on-accent) }
select { min-height: 2.25rem; max-width: 11rem; padding: .25rem .375rem; border: 1px solid var(--edge); border-radius: .5rem; background: var(--card) }
.body { overflow-y: auto; overscroll-behavior: contain }
article { position: relative; padding-block: .75rem .5rem; padding-inline: 1.75rem 1rem; border-block-end: 1px solid var(--line); overflow-wrap: anywhere }
article.unread { background: var(--shade) } article.unread h3 { font-weight: 700 }
.dot { position: absolute; inset-inline-start: .75rem; inset-block-start: 1.125rem; width: .5rem; height: .5rem; border-radius: 50%; background: var(--accent) }
.about { display: flex; flex-wrap: wrap; gap: 0 .625rem; font-size: .8125rem; color: var(--soft) }
.severity { font-weight: 600; white-space: nowrap } .low { color: var(--low) } .medium { color: var(--medium) } .high { color: var(--high) } .critical { color: var(--critical) }
h3 { margin: .125rem 0; font-size: 1rem; font-weight: 500; line-height: 1.35 }
p { margin: .125rem 0 } .content { white-space: pre-line; font-size: .9375rem; color: var(--soft) }
.taken { font-size: .875rem; color: var(--good) } .taken q { color: var(--ink) }
a { color: var(--accent); font-size: .9375rem; display: inline-block; padding-block: .25rem }
.does { display: flex; flex-wrap: wrap; gap: .125rem; margin-inline-start: -.375rem }
form { margin: .375rem 0 } label { font-size: .875rem } form label { display: block; font-weight: 600 }
textarea { display: block; width: 100%; min-height: 4rem; margin: .25rem 0 .5rem; padding: .5rem; border: 1px solid var(--edge); border-radius: .5rem; background: var(--card); resize: vertical }
form button { margin-inline-end: .375rem }
.nothing, .after { padding: 2rem 1rem; text-align: center; color: var(--soft) } .after { padding: .75rem 1rem }
.error { margin: 0; padding: .5rem 1rem; background: var(--shade); color: var(--critical); border-block-end: 1px solid var(--line); font-size: .9375rem; overflow-wrap: anywhere }
.notice { display: flex; align-items: center; padding-inline: 1rem .5rem; background: var(--shade); border-block: 1px solid var(--line); overflow-wrap: anywhere }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
.groups { padding: .5rem 1rem 1rem } fieldset { margin: 0 0 .75rem; padding: .625rem .75rem; border: 1px solid var(--line); border-radius: .5rem; min-width: 0 }
legend { padding: 0 .25rem; font-weight: 600; overflow-wrap: anywhere } fieldset fieldset { margin: .5rem 0 0 } fieldset fieldset legend { font-weight: 500; font-size: .9375rem }
.switches { display: flex; flex-wrap: wrap; gap: .125rem 1rem } .switches label { display: inline-flex; align-items: center; gap: .375rem; min-height: 2rem }
input { width: 1.125rem; height: 1.125rem; accent-color: var(--accent); margin: 0 } summary { cursor: pointer; padding: .25rem 0; font-size: .9375rem; color: var(--accent) }
@media (max-width: 30rem) { :host(:not([inline])) .panel { position: fixed; inset: .5rem !important; width: auto; max-height: none } .top, .bar, .state { padding-inline-start: .75rem } .bar { padding-inline-end: .75rem } article { padding-inline: 1.5rem .75rem } .dot { inset-inline-start: .5rem } }
@media (prefers-reduced-motion: no-preference) { .badge.fresh { animation: fresh .4s ease-out } @keyframes fresh { from { transform: scale(1.6) } } }
`;

  const spoken = (name) => {
    const words = String(name ?? "").replace(/[._-]+/g, " ").trim();
    return words.charAt(0).toUpperCase() + words.slice(1);
  };

  /** An element. Children and properties are set as they are: text stays text. */
  function make(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (value === null || value === undefined) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name in made && !name.includes("-")) made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  function icon(name) {
    const space = "http://www.w3.org/2000/svg";
    const drawn = document.createElementNS(space, "svg");
    drawn.setAttribute("viewBox", "0 0 24 24");
    drawn.setAttribute("aria-hidden", "true");
    drawn.append(document.createElementNS(space, "path"));
    drawn.firstChild.setAttribute("d", ICONS[name]);
    return drawn;
  }

  /** The address of a link in a notification, or null: only http and https, and what is relative to this page. */
  function safe(address) {
    if (typeof address !== "string" || !address.trim()) return null;
    try {
      const found = new URL(address, document.baseURI);
      return found.protocol === "http:" || found.protocol === "https:" ? found : null;
    } catch {
      return null;
    }
  }

  /** What the server said no to. `status` 0: it could not be asked. */
  class Refused extends Error {
    constructor(status, why) {
      super(why);
      this.status = status;
    }
  }

  class BellwireInbox extends HTMLElement {
    static observedAttributes = ["base-url", "token", "locale"];

    #getToken = null;
    #labels = {};
    #parts = null; // the elements that stay
    #nodes = new Map(); // id -> its element in the list
    #items = []; // newest first
    #seen = new Set(); // ids that were here once, so that nothing is told twice
    #arrived = new Map(); // id -> when it came by the stream: answers asked for before do not have it
    #cursor = null;
    #unread = 0;
    #only = "all";
    #group = "";
    #groups = new Set();
    #current = null; // id of the notification that Tab leads to
    #eager = false; // opened before there was a list: its first entry gets the focus
    #acknowledging = null; // id of the one whose form is open
    #draft = "";
    #error = null;
    #notice = null; // what was said to everyone
    #loaded = false;
    #quiet = true; // what comes next is history, not news
    #state = "connecting";
    #source = null;
    #last = null; // number of the last frame, to resume after
    #failures = 0;
    #turn = 0; // answers to an earlier turn (another token, a removed element) are dropped
    #tries = 0;
    #acts = 0; // an answer that an action overtook is asked for again
    #pending = 0;
    #asked = 0;
    #timers = {};
    #drawing = false;
    #ending = null; // takes the listeners off

    constructor() {
      super();
      this.attachShadow({ mode: "open" });
      for (const name of ["getToken", "labels"]) {
        if (!Object.hasOwn(this, name)) continue; // set before this file was loaded
        const value = this[name];
        delete this[name];
        this[name] = value;
      }
    }

    /** A function that gives the token or a promise of it, asked before every request; wins over the attribute.
     *  It is called with `{refused: true}` when the server did not take the last one. */
    get getToken() { return this.#getToken; }
    set getToken(value) {
      this.#getToken = typeof value === "function" ? value : null;
      if (this.isConnected && this.#parts) this.#restart();
    }

    /** Words in another language, by the names of those that are built in. */
    get labels() { return { ...WORDS, ...this.#labels }; }
    set labels(value) {
      this.#labels = value ?? {};
      if (this.#parts) this.#build();
    }

    get unread() { return this.#unread; }
    get state() { return this.#state; }

    connectedCallback() {
      if (!this.#parts) this.#build();
      this.#start();
    }

    disconnectedCallback() { this.#stop(); }

    attributeChangedCallback(name, before, after) {
      if (before === after || !this.#parts || !this.isConnected) return;
      if (name === "locale") this.#build();
      else this.#restart();
    }

    // Words and times

    #say(name, values = {}) {
      const words = Object.hasOwn(this.#labels, name) ? this.#labels[name] : Object.hasOwn(WORDS, name) ? WORDS[name] : spoken(name);
      return String(words).replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all);
    }

    get #base() { return (this.getAttribute("base-url") ?? "").replace(/\/+$/, ""); }

    get #locale() {
      for (const named of [this.getAttribute("locale"), document.documentElement.lang, navigator.language]) {
        try {
          if (named) return Intl.getCanonicalLocales(named)[0];
        } catch {
          // No language's name: the next one.
        }
      }
      return undefined;
    }

    #when(moment) {
      const at = Date.parse(moment);
      if (Number.isNaN(at)) return "";
      const ago = Math.max(0, (Date.now() - at) / 1000);
      if (ago > 6 * 86400) return new Intl.DateTimeFormat(this.#locale, { dateStyle: "medium" }).format(at);
      const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60]].find((one) => ago >= one[1]) ?? ["second", Infinity];
      return new Intl.RelativeTimeFormat(this.#locale, { numeric: "auto" }).format(-Math.trunc(ago / size), unit);
    }

    #tell(name, detail) { this.dispatchEvent(new CustomEvent(`bellwire-${name}`, { detail, bubbles: true, composed: true })); }

    // The server

    async #call(method, path, body, again = false) {
      const turn = this.#turn;
      const token = this.#getToken ? await this.#getToken({ refused: again }) : this.getAttribute("token");
      const headers = { Accept: "application/json", Authorization: `Bearer ${token}` };
      if (body !== undefined) headers["Content-Type"] = "application/json";
      let answer;
      let said = null;
      try {
        answer = await fetch(this.#base + path, {
          method, headers, body: body === undefined ? undefined : JSON.stringify(body),
          cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE * 1000),
        });
        said = answer.status === 204 ? null : await answer.json();
      } catch {
        if (!answer || answer.ok) throw new Refused(0, this.#say("unreachable"));
      }
      if (answer.ok) return said;
      if (answer.status === 401) {
        if (this.#getToken && !again) return this.#call(method, path, body, true);
        if (turn === this.#turn) this.#signedOut();
      }
      throw new Refused(answer.status, said?.detail ?? `${answer.status}`);
    }

    #start() {
      this.#stop();
      if (!this.#getToken && !this.getAttribute("token")) return this.#draw();
      this.#enter("connecting");
      this.#ending = new AbortController();
      const { signal } = this.#ending;
      window.addEventListener("online", () => this.#connect(), { signal });
      document.addEventListener("visibilitychange", () => document.hidden || this.#refresh(), { signal });
      document.addEventListener("pointerdown", (event) => event.composedPath().includes(this) || this.#close(), { signal });
      this.#timers.look = setInterval(() => this.#state === "live" && this.#refresh(), LOOK * 1000);
      this.#timers.clock = setInterval(() => this.#draw(), 30_000);
      this.#refresh();
      this.#connect();
    }

    #stop() {
      this.#turn++;
      this.#ending?.abort();
      this.#source?.close();
      this.#source = null;
      for (const timer of Object.values(this.#timers)) clearTimeout(timer);
      this.#timers = {};
    }

    #restart() {
      this.#items = [];
      for (const kept of [this.#seen, this.#arrived, this.#groups]) kept.clear();
      this.#cursor = this.#last = this.#current = this.#acknowledging = this.#error = null;
      this.#failures = this.#pending = 0;
      this.#group = "";
      this.#loaded = false;
      this.#quiet = true;
      this.#count(0);
      this.#showPreferences(false);
      this.#start();
    }

    #signedOut() {
      this.#stop();
      this.#enter("unauthorized");
      this.#tell("unauthorized");
    }

    #enter(state) {
      if (state === this.#state) return;
      this.#state = state;
      this.#tell("state", { state });
      this.#draw();
    }

    // The stream, and looking by itself while there is none

    async #connect() {
      clearTimeout(this.#timers.again);
      clearTimeout(this.#timers.open);
      this.#source?.close();
      this.#source = null;
      const [turn, attempt] = [this.#turn, ++this.#tries];
      const current = () => turn === this.#turn && attempt === this.#tries;
      try {
        const { ticket } = await this.#call("POST", "/v1/notifications/ticket");
        if (!current()) return;
        const query = new URLSearchParams({ ticket });
        if (this.#last !== null) query.set("since", this.#last);
        this.#listen(new EventSource(`${this.#base}/v1/notifications/sse?${query}`), current);
      } catch {
        if (current()) this.#lost();
      }
    }

    #listen(source, current) {
      this.#source = source;
      // A ticket is good once, so the browser's own way of coming back would be refused.
      const end = () => current() && this.#lost();
      this.#timers.open = setTimeout(end, PATIENCE * 1000);
      source.onerror = end;
      source.onopen = () => {
        if (!current()) return;
        clearTimeout(this.#timers.open);
        clearTimeout(this.#timers.poll);
        this.#failures = 0;
        this.#enter("live");
        this.#refresh(); // what came between the list and the stream
      };
      const hear = (name, take) =>
        source.addEventListener(name, (event) => {
          let said = null;
          try {
            said = JSON.parse(event.data);
          } catch {
            // Nothing that could be shown.
          }
          if (current()) take(said ?? {}, event.lastEventId);
        });
      hear("message", (item, number) => this.#take(item, number));
      hear("unread_count", ({ unread }) => this.#recount(unread));
      hear("broadcast", ({ message }) => this.#broadcast(message));
      hear("acknowledged", (taken) => this.#taking(taken));
    }

    #lost() {
      this.#tries++;
      this.#source?.close();
      this.#source = null;
      clearTimeout(this.#timers.open);
      this.#failures++;
      if (this.#state === "live") this.#enter("reconnecting");
      const pause = Math.min(SLOWEST, 2 ** (this.#failures - 1)) * (0.5 + Math.random());
      this.#timers.again = setTimeout(() => this.#connect(), pause * 1000);
      if (this.#failures === 1) this.#poll(1);
    }

    #poll(seconds) {
      clearTimeout(this.#timers.poll);
      this.#timers.poll = setTimeout(async () => {
        const turn = this.#turn;
        const [before, reached] = [this.#state, await this.#refresh()];
        if (turn !== this.#turn) return;
        const streaming = this.#source?.readyState === EventSource.OPEN;
        if (!streaming || !this.#loaded) this.#poll(this.#pollSeconds);
        this.#enter(!reached ? "offline" : streaming ? "live" : "polling");
        if (reached && !streaming && before === "offline") this.#connect(); // the server is back: no need to wait for the next try
      }, seconds * 1000);
    }

    get #pollSeconds() { return Math.max(1, Number(this.getAttribute("poll-seconds")) || POLL); }

    #take(item, number) {
      if (/^\d+$/.test(number)) this.#last = Math.max(this.#last ?? 0, Number(number));
      if (typeof item.id !== "string") return;
      this.#arrived.set(item.id, performance.now());
      const known = this.#items.findIndex((one) => one.id === item.id);
      if (known >= 0) this.#items[known] = item;
      else if (!this.#seen.has(item.id)) {
        this.#items.unshift(item);
        if (!item.read) this.#count(this.#unread + 1);
        this.#welcome([item]);
      }
      this.#draw();
    }

    #broadcast(message) {
      if (message === undefined) return;
      this.#notice = String(message);
      this.#announce("broadcast", { message });
      this.#draw();
    }

    /** Somebody took an issue that was told here too. */
    #taking(taken) {
      this.#acts++;
      this.#replace(taken.id, taken);
    }

    /** Another tab has read something, or this one has. */
    #recount(unread) {
      if (unread === this.#unread) return;
      if (Number.isInteger(unread)) this.#count(unread);
      this.#refreshSoon();
    }

    #count(unread) {
      const more = unread > this.#unread;
      if (unread === this.#unread) return;
      this.#unread = Math.max(0, unread);
      this.#parts?.badges.forEach((badge) => badge.classList.toggle("fresh", more));
      this.#tell("unread", { unread: this.#unread });
      this.#draw();
    }

    /** Notifications, newest first: those that stand before everything known are news. */
    #welcome(items) {
      const known = items.findIndex((item) => this.#seen.has(item.id));
      const news = this.#quiet ? [] : items.slice(0, known < 0 ? items.length : known).filter((item) => !item.read);
      this.#remember(items);
      if (news.length > 1) this.#announce("arrivedMany", { n: news.length });
      else if (news.length) this.#announce("arrived", { severity: this.#say(news[0].severity), title: news[0].title });
      for (const item of news.reverse()) this.#tell("notification", item);
    }

    #remember(items) {
      for (const item of items) {
        this.#seen.add(item.id);
        if (item.type) this.#groups.add(String(item.type));
      }
    }

    /** For whoever cannot see what has changed. */
    #announce(words, values) { this.#parts.said.textContent = this.#say(words, values); }

    // The list

    #path(cursor) {
      const query = new URLSearchParams({ limit: PAGE, status: this.#only });
      if (cursor) query.set("cursor", cursor);
      return `/v1/notifications?${query}`;
    }

    #refreshSoon() {
      clearTimeout(this.#timers.soon);
      this.#timers.soon = setTimeout(() => this.#refresh(), 150);
    }

    /** The newest page, merged into what is here. Whether the server was reached. */
    async #refresh() {
      if (!this.#ending || this.#ending.signal.aborted) return false;
      const [turn, acts, asked, began] = [this.#turn, this.#acts, ++this.#asked, performance.now()];
      try {
        const page = await this.#call("GET", this.#path());
        if (!Array.isArray(page?.notifications)) throw new Refused(0, this.#say("unreachable"));
        if (turn !== this.#turn || asked !== this.#asked) return true;
        if (acts !== this.#acts || this.#pending) this.#refreshSoon();
        else this.#merge(page, began);
        return true;
      } catch (error) {
        if (turn !== this.#turn) return false;
        if (error.status > 0) this.#fail(error);
        else if (!this.#loaded) this.#enter("offline");
        if (!this.#loaded) this.#poll(this.#pollSeconds);
        return error.status > 0;
      }
    }

    #merge(page, began) {
      const fresh = page.notifications;
      const ids = new Set(fresh.map((item) => item.id));
      const others = this.#items.filter((item) => !ids.has(item.id));
      const later = others.filter((item) => (this.#arrived.get(item.id) ?? -1) >= began);
      // Behind the last one that both have, nothing can be missing between; if they share none, the rest is loaded anew.
      const joint = this.#items.findLastIndex((item) => ids.has(item.id));
      const older = page.next_cursor && joint >= 0 ? this.#items.slice(joint + 1).filter((item) => !later.includes(item)) : [];
      this.#items = [...later, ...fresh, ...older];
      if (!older.length) this.#cursor = page.next_cursor;
      this.#loaded = true;
      this.#error = null;
      this.#welcome(fresh);
      this.#quiet = false;
      this.#count(page.unread + later.filter((item) => !item.read).length);
      this.#draw();
    }

    async #more(focus = true) {
      const turn = this.#turn;
      const [cursor, only] = [this.#cursor, this.#only];
      if (!cursor) return;
      try {
        const page = await this.#call("GET", this.#path(cursor));
        if (turn !== this.#turn || cursor !== this.#cursor || only !== this.#only) return;
        const here = new Set(this.#items.map((item) => item.id));
        const added = page.notifications.filter((item) => !here.has(item.id));
        this.#items.push(...added);
        this.#cursor = page.next_cursor;
        this.#remember(added);
        const first = this.#shown().find((item) => added.includes(item));
        this.#drawNow();
        if (focus && first) this.#focus(first.id);
      } catch (error) {
        this.#fail(error);
      }
    }

    #filter(only) {
      if (only === this.#only) return;
      this.#only = only;
      this.#items = [];
      this.#cursor = null;
      this.#loaded = false;
      this.#quiet = true;
      this.#draw();
      this.#refresh();
    }

    async #choose(group) {
      this.#group = group;
      this.#draw();
      for (let page = 0; page < FARTHEST && this.#cursor && this.#group === group && !this.#shown().length; page++) await this.#more(false);
    }

    #shown() { return this.#group ? this.#items.filter((item) => item.type === this.#group) : this.#items; }

    // What people do

    async #act(work) {
      const turn = this.#turn;
      this.#acts++;
      this.#pending++;
      this.#error = null;
      this.#draw();
      try {
        return await work();
      } catch (error) {
        if (turn === this.#turn) this.#fail(error);
        this.#refreshSoon();
        return undefined;
      } finally {
        this.#acts++;
        if (turn === this.#turn) this.#pending = Math.max(0, this.#pending - 1);
      }
    }

    #fail(error) {
      if (error.status === 401) return;
      this.#error = this.#say("failed", { why: error.message });
      this.#draw();
    }

    #replace(id, said) {
      const at = this.#items.findIndex((item) => item.id === id);
      if (at >= 0 && said) this.#items[at] = { ...this.#items[at], ...said };
      this.#draw();
    }

    #markRead(item, read) {
      if (Boolean(item.read) === read) return undefined;
      this.#replace(item.id, { read });
      this.#count(this.#unread + (read ? -1 : 1));
      return this.#act(async () => this.#replace(item.id, await this.#call("PATCH", `/v1/notifications/${encodeURIComponent(item.id)}/read`, { read })));
    }

    #markAll() {
      this.#items = this.#items.map((item) => ({ ...item, read: true }));
      this.#count(0);
      return this.#act(() => this.#call("POST", "/v1/notifications/read-all"));
    }

    #remove(item) {
      return this.#act(async () => {
        await this.#call("DELETE", `/v1/notifications/${encodeURIComponent(item.id)}`);
        const shown = this.#shown();
        const at = shown.findIndex((one) => one.id === item.id);
        const held = this.#nodes.get(item.id)?.contains(this.shadowRoot.activeElement);
        const next = shown[at + 1] ?? shown[at - 1];
        this.#items = this.#items.filter((one) => one.id !== item.id);
        if (!item.read) this.#count(this.#unread - 1);
        this.#drawNow();
        if (held) next ? this.#focus(next.id) : this.#parts.heading.focus();
      });
    }

    #acknowledge(item) {
      const note = this.#draft.trim();
      return this.#act(async () => {
        const said = await this.#call("POST", `/v1/notifications/${encodeURIComponent(item.id)}/acknowledge`, note ? { note } : {});
        this.#write(null);
        this.#replace(item.id, said);
        this.#drawNow();
        this.#focus(item.id);
      });
    }

    /** Open the form of one notification, or close it. */
    #write(id) {
      const before = this.#acknowledging;
      this.#acknowledging = id;
      this.#draft = "";
      this.#drawNow();
      if (id) this.#nodes.get(id)?.querySelector("textarea")?.focus();
      else if (before) this.#focus(before);
    }

    // Opening, closing, keys

    get #isOpen() { return this.hasAttribute("inline") || !this.#parts.panel.hidden; }

    /** Show the panel. */
    open() {
      if (this.#isOpen) return;
      this.#parts.panel.hidden = false;
      this.#drawNow();
      if (this.#current) return this.#focus(this.#current);
      this.#eager = true;
      this.#parts.heading.focus();
    }

    /** Hide the panel; the focus returns to the bell if it was inside. */
    close() { this.#close(true); }

    #close(focus = false) {
      if (this.hasAttribute("inline") || !this.#isOpen) return;
      this.#parts.panel.hidden = true;
      this.#showPreferences(false);
      this.#draw();
      if (focus) this.#parts.bell.focus();
    }

    #focus(id) {
      this.#current = id;
      this.#drawNow();
      this.#nodes.get(id)?.focus();
    }

    #keys(event) {
      if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
      if (event.key === "Escape") return this.#escape(event);
      const article = event.target.closest?.("article");
      if (!article || event.target.closest("form, select")) return;
      const shown = this.#shown();
      const at = shown.findIndex((item) => item.id === article.dataset.id);
      const moves = { ArrowDown: at + 1, PageDown: at + 1, ArrowUp: at - 1, PageUp: at - 1, Home: 0, End: shown.length - 1 };
      if (Object.hasOwn(moves, event.key)) {
        event.preventDefault();
        const to = shown[Math.min(Math.max(moves[event.key], 0), shown.length - 1)];
        return this.#focus(to.id);
      }
      if (event.target !== article) return;
      const item = shown[at];
      const does = {
        Enter: () => (article.querySelector("a")?.click(), this.#markRead(item, true)),
        r: () => this.#markRead(item, !item.read),
        a: () => item.ack_at || this.#write(item.id),
        Delete: () => article.querySelector("[data-does=remove]").focus(),
      };
      if (!Object.hasOwn(does, event.key)) return;
      event.preventDefault();
      does[event.key]();
    }

    #escape(event) {
      if (this.#acknowledging && event.target.closest?.("form")) this.#write(null);
      else if (!this.#parts.preferences.hidden) this.#showPreferences(false, true);
      else if (this.hasAttribute("inline")) return;
      else this.#close(true);
      event.preventDefault();
      event.stopPropagation();
    }

    // Preferences

    async #showPreferences(show, focus = false) {
      const { preferences, list, bar, settings } = this.#parts;
      if (preferences.hidden === !show) return;
      preferences.hidden = !show;
      list.hidden = bar.hidden = show;
      this.#parts.heading.textContent = this.#say(show ? "preferences" : "title");
      settings.setAttribute("aria-pressed", String(show));
      this.#drawNow();
      if (focus) settings.focus();
      if (!show) return;
      preferences.replaceChildren(make("p", { className: "nothing", textContent: this.#say("loading") }));
      const turn = this.#turn;
      try {
        const { preferences: entries } = await this.#call("GET", "/v1/notifications/preferences");
        if (turn === this.#turn) preferences.replaceChildren(...this.#preferenceGroups(entries));
      } catch (error) {
        preferences.replaceChildren(make("p", { className: "nothing" }, make("button", {
          textContent: this.#say("retry"), onclick: () => { this.#showPreferences(false); this.#showPreferences(true, true); },
        })));
        this.#fail(error);
      }
    }

    /** A group's own switches, and beneath them those of single events: what was said of them, and what is in the list. */
    #preferenceGroups(entries) {
      const switches = []; // [box, entry, channel]
      const whole = (entry) => entries.find((one) => one.group === entry.group && !one.event && one.customer_id === entry.customer_id)
        ?? entries.find((one) => one.group === entry.group && !one.event && !one.customer_id);
      const value = (entry, channel) => entries.find((one) => same(one, entry))?.channels[channel] ?? whole(entry)?.channels[channel] ?? true;
      const same = (one, other) => one.group === other.group && one.event === other.event && one.customer_id === other.customer_id;
      const set = async (box, { group, event, customer_id }, channel) => {
        const asked = [{ group, event, customer_id, channels: { [channel]: box.checked } }];
        const said = await this.#act(() => this.#call("PUT", "/v1/notifications/preferences", { preferences: asked }));
        if (said) entries = said.preferences, this.#announce("saved");
        for (const [one, entry, of] of switches) one.checked = value(entry, of);
      };
      const row = (entry, name) => make("div", { className: "switches" }, ...this.#channels(entries).map((channel) => {
        const box = make("input", { type: "checkbox", checked: value(entry, channel), disabled: Boolean(entry.event && entry.locked?.includes(entry.event)), "aria-label": `${this.#say(channel)}: ${name}` });
        box.addEventListener("change", () => set(box, entry, channel));
        switches.push([box, entry, channel]);
        return make("label", {}, box, this.#say(channel));
      }));
      const framed = (name, ...inside) => make("fieldset", {}, make("legend", { textContent: name, dir: "auto" }), ...inside);
      return entries.filter((entry) => !entry.event).map((entry) => {
        const { group, customer_id } = entry;
        const name = spoken(group) + (customer_id ? ` (${this.#say("customer", { id: customer_id })})` : "");
        const told = entries.filter((one) => one.group === group && one.event && one.customer_id === customer_id);
        const more = new Set(this.#items.filter((item) => item.type === group && !customer_id && !told.some((one) => one.event === item.event)).map((item) => item.event));
        const single = [...told, ...[...more].map((event) => ({ group, event, customer_id, locked: entry.locked }))];
        return framed(name, row(entry, name),
          entry.locked?.length ? make("p", { className: "about", textContent: this.#say("locked", { events: entry.locked.map(spoken).join(", ") }) }) : null,
          single.length ? make("details", {}, make("summary", { textContent: this.#say("single", { n: single.length }) }), ...single.map((one) => framed(spoken(one.event), row(one, `${name}, ${spoken(one.event)}`)))) : null);
      });
    }

    #channels(entries) { return [...new Set(entries.flatMap((entry) => Object.keys(entry.channels)))]; }

    // What is on the screen

    #build() {
      const button = (words, does, className = "") => make("button", { className, textContent: this.#say(words), onclick: does });
      const pictured = (name, words, does, className = "icon") => make("button", { className, title: this.#say(words), "aria-label": this.#say(words), onclick: does }, icon(name));
      const badge = () => make("span", { className: "badge", hidden: true, "aria-hidden": "true" });
      const inline = this.hasAttribute("inline");
      const parts = { badges: [badge(), badge()] };
      parts.bell = pictured("bell", "title", () => (this.#isOpen ? this.#close(true) : this.open()), "icon bell");
      parts.bell.append(parts.badges[0]);
      parts.bell.hidden = inline;
      parts.bell.setAttribute("aria-haspopup", "dialog");
      parts.bell.setAttribute("aria-controls", "panel");
      parts.heading = make("h2", { id: "heading", tabIndex: -1, textContent: this.#say("title") });
      parts.settings = pictured("sliders", "preferences", () => this.#showPreferences(this.#parts.preferences.hidden));
      parts.settings.setAttribute("aria-pressed", "false");
      parts.state = make("p", { className: "state", role: "status" });
      parts.only = ["all", "unread"].map((one) => make("button", { textContent: this.#say(one), onclick: () => this.#filter(one), "data-only": one }));
      parts.group = make("select", { "aria-label": this.#say("group"), onchange: () => this.#choose(parts.group.value) });
      parts.markAll = button("markAll", () => this.#markAll(), "plain");
      parts.bar = make("div", { className: "bar" }, make("div", { className: "choice", role: "group", "aria-label": this.#say("show") }, ...parts.only), parts.group, make("span", { className: "grow" }), parts.markAll);
      parts.error = make("p", { className: "error", role: "alert", hidden: true });
      parts.noticed = make("span", { className: "grow", dir: "auto" });
      parts.notice = make("div", { className: "notice", hidden: true }, parts.noticed, pictured("cross", "close", () => ((this.#notice = null), this.#draw())));
      parts.feed = make("div", { role: "feed", "aria-labelledby": "heading" });
      parts.nothing = make("p", { className: "nothing" });
      parts.after = make("p", { className: "after" }, button("more", () => this.#more()));
      parts.list = make("div", {}, parts.feed, parts.nothing, parts.after);
      parts.preferences = make("div", { className: "groups", hidden: true });
      parts.said = make("div", { className: "unseen", role: "status", "aria-live": "polite" });
      const close = pictured("cross", "close", () => this.#close(true));
      close.hidden = inline;
      parts.panel = make("section", { id: "panel", className: "panel", role: inline ? "region" : "dialog", "aria-labelledby": "heading", hidden: !inline, onkeydown: (event) => this.#keys(event) },
        make("div", { className: "top" }, parts.heading, parts.badges[1], make("span", { className: "grow" }), parts.settings, close),
        parts.state, parts.notice, parts.bar, parts.error, make("div", { className: "body" }, parts.list, parts.preferences));
      parts.feed.addEventListener("focusin", (event) => {
        const id = event.target.closest("article")?.dataset.id;
        if (id && id !== this.#current) this.#current = id, this.#draw();
      });
      this.#parts = parts;
      this.#nodes.clear();
      this.shadowRoot.replaceChildren(...this.#style(), parts.bell, parts.panel, parts.said);
      this.#drawNow();
    }

    /** A style sheet that a strict content security policy lets through; older browsers need the nonce. */
    #style() {
      try {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(STYLE);
        this.shadowRoot.adoptedStyleSheets = [sheet];
        return [];
      } catch {
        return [make("style", { nonce: this.nonce || this.getAttribute("nonce"), textContent: STYLE })];
      }
    }

    #draw() {
      if (this.#drawing || !this.#parts) return;
      this.#drawing = true;
      queueMicrotask(() => this.#drawing && this.#drawNow());
    }

    #drawNow() {
      this.#drawing = false;
      const parts = this.#parts;
      const count = this.#unread > 99 ? "99+" : new Intl.NumberFormat(this.#locale).format(this.#unread);
      const unread = this.#say("unreadCount", { n: this.#unread });
      for (const badge of parts.badges) {
        badge.hidden = !this.#unread;
        badge.textContent = count;
      }
      parts.bell.setAttribute("aria-label", this.#unread ? `${this.#say("title")}, ${unread}` : this.#say("title"));
      parts.bell.setAttribute("aria-expanded", String(!parts.panel.hidden));
      const state = this.#say(this.#state, { n: this.#pollSeconds });
      if (parts.state.textContent !== state) parts.state.textContent = state;
      parts.state.className = `state ${this.#state}`;
      for (const one of parts.only) one.setAttribute("aria-pressed", String(one.dataset.only === this.#only));
      parts.markAll.disabled = !this.#unread;
      parts.notice.hidden = !this.#notice;
      const notice = this.#notice ? this.#say("broadcast", { message: this.#notice }) : "";
      if (parts.noticed.textContent !== notice) parts.noticed.textContent = notice;
      parts.error.hidden = !this.#error;
      if (parts.error.textContent !== (this.#error ?? "")) parts.error.textContent = this.#error ?? "";
      this.#drawGroups();
      if (this.#isOpen) this.#drawList();
    }

    #drawGroups() {
      const { group } = this.#parts;
      const names = [...this.#groups].sort();
      group.hidden = names.length < 2;
      if (group.dataset.names === JSON.stringify(names)) return;
      group.dataset.names = JSON.stringify(names);
      group.replaceChildren(make("option", { value: "", textContent: this.#say("allGroups") }), ...names.map((value) => make("option", { value, textContent: spoken(value) })));
      group.value = this.#group;
    }

    #drawList() {
      const { feed, nothing, after } = this.#parts;
      const shown = this.#shown();
      if (!shown.some((item) => item.id === this.#current)) this.#current = shown[0]?.id ?? null;
      const nodes = shown.map((item, at) => this.#node(item, at, shown.length));
      const kept = new Set(nodes);
      for (const node of [...feed.children]) if (!kept.has(node)) node.remove();
      // Only what stands elsewhere is moved: moving takes the focus away.
      nodes.forEach((node, at) => feed.children[at] === node || feed.insertBefore(node, feed.children[at] ?? null));
      this.#nodes = new Map(nodes.map((node) => [node.dataset.id, node]));
      feed.setAttribute("aria-busy", String(!this.#loaded));
      nothing.hidden = shown.length > 0;
      nothing.textContent = this.#say(!this.#loaded ? (this.#state === "unauthorized" ? "unauthorized" : "loading") : this.#group ? "noneGroup" : this.#only === "unread" ? "noneUnread" : "none");
      after.hidden = !this.#cursor;
      if (!this.#eager || !this.#current) return;
      this.#eager = false;
      if (this.shadowRoot.activeElement === this.#parts.heading) this.#nodes.get(this.#current).focus();
    }

    #node(item, at, size) {
      let node = this.#nodes.get(item.id);
      const writing = this.#acknowledging === item.id;
      const shows = JSON.stringify([item, writing, writing || this.#when(item.created_at), item.ack_at && this.#when(item.ack_at)]);
      if (node?.shows !== shows) {
        const focused = node?.contains(this.shadowRoot.activeElement) ? this.shadowRoot.activeElement : null;
        const fresh = this.#article(item, writing);
        fresh.shows = shows;
        node?.replaceWith(fresh);
        if (focused) (focused === node ? fresh : fresh.querySelector(`[data-does="${focused.dataset.does}"]`) ?? fresh).focus();
        node = fresh;
      }
      const index = item.id === this.#current ? 0 : -1;
      for (const one of [node, ...node.querySelectorAll("a, button, textarea")]) one.tabIndex = index;
      node.setAttribute("aria-posinset", at + 1);
      node.setAttribute("aria-setsize", this.#cursor ? -1 : size);
      return node;
    }

    #article(item, writing) {
      const severity = Object.hasOwn(SIGNS, item.severity) ? item.severity : "medium";
      const does = (words, act, run) => make("button", { className: "word", textContent: this.#say(words), "data-does": act, onclick: run });
      const remove = does("remove", "remove", () => {
        if (remove.classList.contains("sure")) return this.#remove(item);
        remove.classList.add("sure");
        remove.textContent = this.#say("reallyRemove");
      });
      remove.addEventListener("blur", () => (remove.classList.remove("sure"), (remove.textContent = this.#say("remove"))));
      const title = `title-${item.id}`;
      return make("article", { className: item.read ? "" : "unread", tabIndex: -1, "data-id": item.id, "aria-labelledby": `about-${item.id} ${title}`, "aria-describedby": `content-${item.id}` },
        item.read ? null : make("span", { className: "dot", "aria-hidden": "true" }),
        make("div", { className: "about", id: `about-${item.id}` },
          item.read ? null : make("span", { className: "unseen", textContent: this.#say("unread") }),
          make("span", { className: `severity ${severity}` }, make("span", { "aria-hidden": "true", textContent: `${SIGNS[severity]} ` }), this.#say(severity)),
          make("span", { textContent: spoken(item.type), dir: "auto" }),
          make("time", { dateTime: item.created_at ?? "", title: new Date(item.created_at).toLocaleString(this.#locale), textContent: this.#when(item.created_at) })),
        make("h3", { id: title, dir: "auto", textContent: item.title || spoken(item.event) }),
        make("p", { id: `content-${item.id}`, className: "content", dir: "auto", textContent: item.content ?? "", hidden: !item.content }),
        this.#link(item), this.#taken(item), writing ? this.#form(item) : null,
        writing ? null : make("div", { className: "does" },
          does(item.read ? "markUnread" : "markRead", "read", () => this.#markRead(this.#items.find((one) => one.id === item.id) ?? item, !item.read)),
          item.ack_at ? null : does("acknowledge", "acknowledge", () => this.#write(item.id)), remove));
    }

    #link(item) {
      const address = safe(item.link_url);
      // What leads to this very page would only load it anew.
      if (!address || address.href.split("#")[0] === location.href.split("#")[0]) return null;
      const elsewhere = address.origin !== location.origin;
      return make("a", { href: address.href, dir: "auto", textContent: item.link_text || this.#say("open"), "data-does": "link", target: elsewhere ? "_blank" : null, rel: elsewhere ? "noopener noreferrer" : null, onclick: () => this.#markRead(item, true) });
    }

    #taken(item) {
      if (!item.ack_at) return null;
      const words = this.#say("acknowledged", { who: item.ack_by_user_id ?? "", when: this.#when(item.ack_at) });
      return make("p", { className: "taken", dir: "auto" }, `✓ ${words}`, item.ack_note ? make("span", {}, " ", make("q", { textContent: item.ack_note })) : null);
    }

    #form(item) {
      const note = make("textarea", { id: "note", maxLength: LONGEST_NOTE, value: this.#draft, "data-does": "note", oninput: () => (this.#draft = note.value) });
      return make("form", { onsubmit: (event) => (event.preventDefault(), this.#acknowledge(item)) },
        make("label", { htmlFor: "note", textContent: this.#say("note") }), note,
        make("button", { className: "go", textContent: this.#say("acknowledge"), "data-does": "send" }),
        make("button", { type: "button", textContent: this.#say("cancel"), "data-does": "cancel", onclick: () => this.#write(null) }));
    }
  }

  customElements.define("bellwire-inbox", BellwireInbox);
})();
